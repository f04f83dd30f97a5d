"""Judges Microsoft Graph's notifications as a receiver should, written from the documents and not from the Rust crates.

An item is authentic if a valid validation token speaks for its tenant, its client state is ours, and its tenant and
policy are ones that we watch. What is authentic but cannot be opened is degraded, never rejected. One bad token, or one
bad item, takes nothing from the others.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicNumbers

from graph_reference import PUBLISHER, Unreadable, issuer, thumbprint, unb64, unseal

SKEW = 300
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
RESOURCE = re.compile(r"/?communications/calls/getEmergencyEventsByPolicy\(policyName='((?:[^']|'')+)'\)", re.ASCII | re.I | re.S)
BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
CLAIMS = ("ver", "tid", "iss", "aud", "appid", "azp", "exp", "nbf")
HEADERS = ("alg", "kid", "crit")


@dataclass(frozen=True)
class Opinion:
    """What becomes of one item: accepted, degraded, rejected, lifecycle or malformed."""

    verdict: str
    reason: str | None = None
    resource: bytes | None = None


class Refused(Exception):
    """A token or an item fails a check; the text says which."""


@dataclass(frozen=True)
class SigningKey:
    kid: str
    key: object
    issuer: str | None


@dataclass(frozen=True)
class DecryptionKey:
    certificate_id: str
    thumbprint: str
    private_key: RSAPrivateKey


class Judge:
    """A receiver's settings and secrets. `policies` are pairs of tenant and name."""

    def __init__(self, keyring: str, client_id: str, policies: list[tuple[str, str]], login_endpoint: str, now: int) -> None:
        stored = json.loads(keyring)
        self.client_id, self.login_endpoint, self.now = client_id, login_endpoint, now
        # Microsoft compares the names of policies without regard to case.
        self.policies = {(tenant, name.lower()) for tenant, name in policies}
        self.tenants = {tenant for tenant, _ in policies}
        self.client_states = [state["value"].encode() for state in stored["clientStates"]]
        self.decryption_keys = [decryption_key(key) for key in stored["keys"]]
        self.signing_keys = [signing_key(key) for key in (stored["signingKeys"] or {"keys": []})["keys"]]

    def judge(self, body: str) -> list[Opinion] | None:
        """An opinion on each item; `None` for what is no notification at all and gets 400."""
        try:
            collection = tolerant_json(body)
        except (ValueError, RecursionError):
            return None
        if not isinstance(collection, dict) or not isinstance(collection.get("value"), list):
            return None
        tokens = collection.get("validationTokens")
        covered = self.covered_tenants(tokens if isinstance(tokens, list) else [])
        return [self.judge_item(item, covered) for item in collection["value"]]

    def covered_tenants(self, tokens: list[object]) -> dict[str, str | None]:
        """The tenants that the valid tokens speak for; under "" the reason why the first invalid one is none."""
        covered: dict[str, str | None] = {}
        for token in tokens:
            try:
                covered[self.tenant_of_token(token)] = None
            except Refused as refused:
                covered.setdefault("", str(refused))
        return covered

    def judge_item(self, item: object, covered: dict[str, str | None]) -> Opinion:
        try:
            tenant, resource = shape(item)
            assert isinstance(item, dict)
            self.check_tenant(tenant)
            if resource is not None:
                self.check_policy(tenant, resource)
            self.check_client_state(item.get("clientState"))
            if resource is None:
                return Opinion("lifecycle")
            if tenant not in covered:
                raise Refused(covered.get("") or "no token for the tenant")
        except Refused as refused:
            return Opinion("rejected", str(refused))
        except ValueError as error:
            return Opinion("malformed", str(error))
        return self.open(item.get("encryptedContent"))

    def check_tenant(self, tenant: str) -> None:
        require(tenant in self.tenants, "a tenant that is not configured")

    def check_policy(self, tenant: str, resource: str) -> None:
        path = RESOURCE.fullmatch(resource)
        require(path is not None, "a resource that is no emergency calling policy")
        assert path is not None
        name = path[1].replace("''", "'")
        require((tenant, name.lower()) in self.policies, "a policy that is not configured")

    def check_client_state(self, received: object) -> None:
        require(isinstance(received, str), "no client state")
        assert isinstance(received, str)
        known = [hmac.compare_digest(state, received.encode()) for state in self.client_states]
        require(any(known), "a wrong client state")

    def open(self, content: object) -> Opinion:
        members = ("data", "dataSignature", "dataKey")
        if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in members):
            return Opinion("degraded", "no content")
        for key in self.keys_for(content):
            try:
                return Opinion("accepted", resource=unseal(content, key.private_key))
            except Unreadable:
                continue
        return Opinion("degraded", "no key opens the content")

    def keys_for(self, content: dict[str, object]) -> list[DecryptionKey]:
        """By certificate id, then by thumbprint, upper or lower case."""
        wanted = content.get("encryptionCertificateThumbprint")
        wanted = wanted.upper() if isinstance(wanted, str) and wanted.isascii() else None
        by_id = [key for key in self.decryption_keys if key.certificate_id == content.get("encryptionCertificateId")]
        return by_id + [key for key in self.decryption_keys if key.thumbprint == wanted]

    def tenant_of_token(self, token: object) -> str:
        """The tenant that a valid token speaks for."""
        header, claims = self.parts(token)
        assert isinstance(token, str)
        require(header.get("alg") == "RS256", "not RS256")
        require("crit" not in header, "an extension that is not understood")
        require(isinstance(header.get("kid"), str), "no kid")
        tenant = self.check_claims(claims)
        keys = [key for key in self.signing_keys if key.kid == header["kid"] and may_sign_for(key, tenant)]
        require(any(signed_by(token, key) for key in keys), "no signature of Entra")
        return tenant

    def parts(self, token: object) -> tuple[dict[str, object], dict[str, object]]:
        require(isinstance(token, str), "not text")
        assert isinstance(token, str)
        parts = token.split(".")
        require(len(parts) == 3, "not three parts")
        header, claims, _ = (unb64url(part) for part in parts)
        return json_object(header, HEADERS), json_object(claims, CLAIMS)

    def check_claims(self, claims: dict[str, object]) -> str:
        version, tid = claims.get("ver"), claims.get("tid")
        require(version in ("1.0", "2.0"), "an unknown version")
        require(isinstance(tid, str) and GUID.fullmatch(tid) is not None, "tid is no GUID")
        tenant = str(tid).lower()
        require(tenant in self.tenants, "a tenant that is not configured")
        require(claims.get("iss") == issuer(str(version), tenant, self.login_endpoint), "another issuer")
        require(claims.get("aud") == self.client_id, "another audience")
        publisher = "appid" if version == "1.0" else "azp"
        require(claims.get(publisher) == PUBLISHER, "another publisher")
        require(all(claims.get(name) is None or isinstance(claims[name], str) for name in ("appid", "azp")), "a claim's type")
        require(numeric_date(claims.get("exp")) + SKEW > self.now, "expired")
        require(numeric_date(claims.get("nbf")) - SKEW <= self.now, "not yet valid")
        return tenant


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)


def shape(item: object) -> tuple[str, str | None]:
    """An item's tenant and resource; without a resource it is a lifecycle notification."""
    if not isinstance(item, dict):
        raise ValueError("not an object")
    tenant, resource = item.get("tenantId"), item.get("resource")
    if not isinstance(tenant, str) or not GUID.fullmatch(tenant):
        raise ValueError("tenantId is no GUID")
    # changeType and lifecycleEvent exclude each other. An item with the marks of a call may be one, whatever else it says.
    call = item.get("encryptedContent") is not None or (item.get("changeType") is not None and "resource" in item)
    if isinstance(item.get("lifecycleEvent"), str) and not call:
        return tenant.lower(), None
    # What is no text is no policy's.
    return tenant.lower(), resource if isinstance(resource, str) else ""


def numeric_date(value: object) -> int:
    """Entra writes times as whole seconds. In Python `True` is an int, in JSON it is none."""
    require(type(value) is int and -(2**63) <= value < 2**63, "a time that is no number of seconds")
    assert isinstance(value, int)
    return value


def may_sign_for(key: SigningKey, tenant: str) -> bool:
    """A key whose issuer has a place for the tenant signs for all, one whose issuer names a tenant only for that one."""
    if key.issuer is None:
        return True
    named = GUID.search(key.issuer)
    return "{tenantid}" in key.issuer or (named is not None and named[0].lower() == tenant)


def signed_by(token: str, key: SigningKey) -> bool:
    try:
        jwt.PyJWS().decode_complete(token, key.key, algorithms=["RS256"])  # type: ignore[arg-type]
    except jwt.InvalidTokenError:
        return False
    return True


def decryption_key(stored: dict[str, str]) -> DecryptionKey:
    private_key = serialization.load_der_private_key(unb64(stored["privateKey"]), password=None)
    assert isinstance(private_key, RSAPrivateKey)
    return DecryptionKey(stored["certificateId"], thumbprint(unb64(stored["certificate"])), private_key)


def signing_key(stored: dict[str, str]) -> SigningKey:
    n, e = (int.from_bytes(unb64url(stored[name]), "big") for name in ("n", "e"))
    return SigningKey(stored["kid"], RSAPublicNumbers(e, n).public_key(), stored.get("issuer"))


def unb64url(text: str) -> bytes:
    """Base64url without padding, as RFC 7515 wants it, in its one canonical form."""
    require(BASE64URL.fullmatch(text) is not None and len(text) % 4 != 1, "not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    require(base64.urlsafe_b64encode(data).rstrip(b"=") == text.encode(), "not canonical base64url")
    return data


def json_object(data: bytes, deciding: tuple[str, ...]) -> dict[str, object]:
    """A header or a set of claims. What decides must stand there once (RFC 7515 section 4, RFC 7519 section 4)."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        require(not any(names.count(name) > 1 for name in deciding), "a member that is there twice")
        return dict(pairs)

    try:
        value = json.loads(data.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    require(isinstance(value, dict), "not an object")
    return value


def tolerant_json(text: str) -> object:
    """JSON with what Microsoft's own samples get wrong: trailing commas, and oddities around the document."""
    text = text.removeprefix("\ufeff").strip("\0\t\n\f\r ")
    try:
        return strict_json(text)
    except ValueError:
        return strict_json(without_trailing_commas(text))


def strict_json(text: str) -> object:
    """JSON as RFC 8259 defines it, where Python is more generous: no NaN, no infinity, no half characters."""
    value = json.loads(text, parse_constant=no_number, parse_float=finite)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def without_trailing_commas(text: str) -> str:
    return re.sub(r'("(?:\\.|[^"\\])*")|,(?=[ \t\n\r]*[}\]])', lambda found: found[1] or "", text, flags=re.S)


def no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def finite(text: str) -> float:
    value = float(text)
    return value if abs(value) != float("inf") else no_number(text)
