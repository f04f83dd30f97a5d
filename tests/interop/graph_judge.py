"""Judges Microsoft Graph's notifications as a receiver should, written from the documents and not from the Rust crates.

Two things prove an item's sender: a valid validation token, and a client state that is ours. With both, for the same tenant, it is
verified, opened or not. With one it is told as unverified if a key of ours opens it, and not told otherwise, nor where unverified
calls are rejected. With none it is ignored. Nothing else decides, and one bad token, or one bad item, takes nothing from the others.
"""

from __future__ import annotations

import base64
import hashlib
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
BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
CLAIMS = ("ver", "tid", "iss", "aud", "appid", "azp", "exp", "nbf")
HEADERS = ("alg", "kid", "crit")


@dataclass(frozen=True)
class Opinion:
    """What becomes of one item: verified, verifiedWithoutDetails, unverified, notTold, ignored, lifecycle (it knows a client
    state), lifecycleUnknown or malformed."""

    verdict: str
    reason: str | None = None
    resource: bytes | None = None


class Refused(Exception):
    """A token fails a check; the text says which."""


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


@dataclass(frozen=True)
class Known:
    """What a client state of ours proves: the tenant, unless it is a stored one, which names none."""

    tenant: str | None


# Valid tokens of several tenants came, and nothing tells which is the item's.
SEVERAL = "several"


class Judge:
    """A receiver's settings and secrets. `policies` are pairs of tenant and name."""

    def __init__(
        self,
        keyring: str,
        client_id: str,
        policies: list[tuple[str, str]],
        login_endpoint: str,
        now: int,
        reject_unverified: bool = False,
    ) -> None:
        stored = json.loads(keyring)
        self.client_id, self.login_endpoint, self.now = client_id, login_endpoint, now
        self.reject_unverified = reject_unverified
        # Microsoft compares the names of policies without regard to case.
        self.policies = {policy_digest(tenant, name): tenant for tenant, name in policies}
        self.tenants = {tenant for tenant, _ in policies}
        self.client_states = [state["value"].encode() for state in stored["clientStates"]]
        self.client_state_keys = [(key["id"], unb64url(key["key"])) for key in stored.get("clientStateKeys", [])]
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
        vouched = self.vouched_tenants(tokens if isinstance(tokens, list) else [])
        return [self.judge_item(item, vouched) for item in collection["value"]]

    def vouched_tenants(self, tokens: list[object]) -> set[str]:
        """The tenants that the valid tokens speak for."""
        vouched = set()
        for token in tokens:
            try:
                vouched.add(self.tenant_of_token(token))
            except Refused:
                continue
        return vouched

    def judge_item(self, item: object, vouched: set[str]) -> Opinion:
        if not isinstance(item, dict):
            return Opinion("malformed", "not an object")
        known = self.known_client_state(item.get("clientState"))
        if is_lifecycle(item):
            return Opinion("lifecycle" if known else "lifecycleUnknown")
        token = self.tenant_vouched_for(item, known, vouched)
        if known and token and self.reject_unverified and not states_only(item, token):
            token = None
        if not known and not token:
            return Opinion("ignored", "no proof")
        resource = self.open(item.get("encryptedContent"))
        if known and token:
            return Opinion("verified", resource=resource) if resource is not None else Opinion("verifiedWithoutDetails")
        if resource is None or self.reject_unverified:
            return Opinion("notTold", "one proof")
        return Opinion("unverified", "one proof", resource)

    def known_client_state(self, received: object) -> Known | None:
        if not isinstance(received, str):
            return None
        if any([hmac.compare_digest(state, received.encode()) for state in self.client_states]):
            return Known(None)
        version, _, rest = received.partition(".")
        generation, _, rest = rest.partition(".")
        digest, _, tag = rest.partition(".")
        signed = received[: -len(tag) - 1]
        try:
            tag_bytes, policy = unb64url(tag), unb64url(digest)
        except Refused:
            return None
        if version != "1" or received.count(".") != 3:
            return None
        for name, key in self.client_state_keys:
            if name == generation and hmac.compare_digest(hmac.digest(key, signed.encode(), "sha256"), tag_bytes):
                return Known(self.policies.get(policy))
        return None

    def tenant_vouched_for(self, item: dict[str, object], known: Known | None, vouched: set[str]) -> str | None:
        """The tenant for which a token speaks for an item. The tenants that the item states only find the token, and a token for
        another tenant than the client state's does not count."""
        if known and known.tenant:
            return known.tenant if known.tenant in vouched else None
        stated = stated_ids(item)
        found = next((tenant for tenant in stated if tenant in vouched), None)
        if not found and vouched:
            found = next(iter(vouched)) if len(vouched) == 1 else SEVERAL
        # A stored client state is taken for one of the tenant that the item states.
        if known and found and stated and stated[0] != found:
            return None
        return found

    def open(self, content: object) -> bytes | None:
        """What a key of ours opens; `None` if none does."""
        members = ("data", "dataSignature", "dataKey")
        if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in members):
            return None
        for key in self.keys_for(content):
            try:
                return unseal(content, key.private_key)
            except Unreadable:
                continue
        return None

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


def is_lifecycle(item: dict[str, object]) -> bool:
    """changeType and lifecycleEvent exclude each other. An item with the marks of a call may be one, whatever else it says."""
    call = item.get("encryptedContent") is not None or (item.get("changeType") is not None and "resource" in item)
    return isinstance(item.get("lifecycleEvent"), str) and not call


def stated_ids(item: dict[str, object]) -> list[str]:
    """The tenants that an item states, `tenantId` first."""
    stated = (item.get(name) for name in ("tenantId", "organizationId"))
    return [text.strip().lower() for text in stated if isinstance(text, str) and GUID.fullmatch(text.strip())]


def states_only(item: dict[str, object], tenant: str) -> bool:
    """Whether an item states this tenant and nothing else, or nothing at all."""
    stated = [item[name] for name in ("tenantId", "organizationId") if item.get(name) is not None]
    return len(stated_ids(item)) == len(stated) and all(text == tenant for text in stated_ids(item))


def policy_digest(tenant: str, name: str) -> bytes:
    """What stands for a policy in a client state that was made."""
    return hashlib.sha256(f"{tenant}/{name.lower()}".encode()).digest()[:16]


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
