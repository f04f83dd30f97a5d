"""Ways to spoil a notification: each is a function that changes a draft, and says what must come of it where that is
certain for an item that was good before.

A draft passes three stages, and mutations act on one of them: the parts before signing and sealing (`Draft`), the
collection as a JSON value, and the text that is posted.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

import graph_reference as graph
import scene

Json = object
CERTIFICATES = [("key-1", 2048), ("key-2", 2048), ("key-3", 3072)]
# In the keyring are all but this one.
LOST = ("key-lost", 2048)


def pairs() -> list[scene.KeyPair]:
    return [scene.key_pair(*each) for each in CERTIFICATES]


@dataclass
class Token:
    """A validation token before it is signed. A header or claims as bytes are taken as they are."""

    header: dict[str, Json] | bytes
    claims: dict[str, Json] | bytes
    key: str

    def signed(self) -> str:
        signed = b".".join(base64url(part) for part in (self.header, self.claims))
        signature = scene.rsa_key(self.key).sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return b".".join((signed, base64url(signature))).decode()


@dataclass
class Draft:
    items: list[dict[str, Json]]
    tokens: list[Token]
    documents: dict[str, bytes] = field(default_factory=dict)

    def collection(self) -> dict[str, Json]:
        return graph.collection(list(self.items), [token.signed() for token in self.tokens])


@dataclass(frozen=True)
class Mutation:
    name: str
    stage: str
    apply: Callable
    outcome: str | None


MUTATIONS: list[Mutation] = []


def mutation(stage: str, outcome: str | None = None) -> Callable:
    """Registers a mutation; `outcome` is what must become of an item that was good and to which nothing else happens."""

    def register(function: Callable) -> Callable:
        MUTATIONS.append(Mutation(function.__name__, stage, function, outcome))
        return function

    return register


def family(stage: str, outcome: str | None, cases: dict[str, Callable]) -> None:
    MUTATIONS.extend(Mutation(name, stage, apply, outcome) for name, apply in cases.items())


def base64url(part: Json) -> bytes:
    data = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return jwt.utils.base64url_encode(data)


# What is good.


def good_draft(rng: random.Random, items: int) -> Draft:
    """Calls of any of our tenants and policies, lifecycle events between them, and a token for each tenant."""
    draft = Draft([], [])
    for number in range(items):
        tenant, policy = rng.choice(scene.POLICIES)
        pair = scene.key_pair(*rng.choice(CERTIFICATES))
        call = f"call-{number}"
        content = graph.seal(graph.emergency_document(call, policy), pair.certificate, pair.certificate_id)
        state = rng.choice(scene.CLIENT_STATES)
        draft.items.append(graph.change_notification(tenant, policy, state, call, content))
        if number > 0 and rng.random() < 0.2:
            draft.items[number] = graph.lifecycle_notification(tenant, state, "reauthorizationRequired")
    for tenant in sorted({str(item["tenantId"]) for item in draft.items}):
        draft.tokens.append(good_token(rng, tenant))
    return draft


def good_token(rng: random.Random, tenant: str, version: str | None = None) -> Token:
    claims = graph.token_claims(version or rng.choice(["1.0", "2.0"]), tenant, scene.CLIENT, scene.LOGIN, scene.NOW)
    key, kid, _ = rng.choice([key for key in scene.SIGNING_KEYS if key[0] not in ("home", "consumers")])
    return Token({"typ": "JWT", "alg": "RS256", "kid": kid}, claims, key)


# Tokens: claims and header, rightly signed.


def claim(name: str, value: Callable[[random.Random, Token], Json]) -> Callable:
    def apply(rng: random.Random, draft: Draft) -> None:
        token = rng.choice(draft.tokens)
        token.claims[name] = value(rng, token)  # type: ignore[index]

    return apply


def header(name: str, value: Json) -> Callable:
    def apply(rng: random.Random, draft: Draft) -> None:
        rng.choice(draft.tokens).header[name] = value  # type: ignore[index]

    return apply


def publisher(token: Token) -> str:
    return "appid" if token.claims["ver"] == "1.0" else "azp"  # type: ignore[index]


family(
    "draft",
    "unverified",
    {
        "expired": claim("exp", lambda rng, _: scene.NOW - rng.choice([300, 301, 86400])),
        "not_yet_valid": claim("nbf", lambda rng, _: scene.NOW + rng.choice([301, 86400])),
        "time_is_text": claim("exp", lambda *_: str(scene.NOW + 999)),
        "time_is_fraction": claim("exp", lambda *_: scene.NOW + 999.5),
        "time_is_float": claim("nbf", lambda *_: float(scene.NOW - 60)),
        "time_is_true": claim("nbf", lambda *_: True),
        "time_is_huge": claim("exp", lambda rng, _: rng.choice([2**63, 2**64, 10**30])),
        "audience_of_another": claim("aud", lambda rng, _: rng.choice([scene.STRANGER, f"api://{scene.CLIENT}", ""])),
        "audience_is_list": claim("aud", lambda *_: [scene.CLIENT]),
        "audience_in_other_case": claim("aud", lambda *_: scene.CLIENT.upper()),
        "issuer_of_other_version": claim("iss", lambda _, t: other_issuer(t)),
        "issuer_with_slash_moved": claim("iss", lambda _, t: moved_slash(str(t.claims["iss"]))),
        "issuer_of_other_tenant": claim("iss", lambda _, t: swapped_tenant(t)),
        "issuer_of_other_host": claim("iss", lambda _, t: str(t.claims["iss"]).replace("https://", "https://x.")),
        "issuer_in_other_case": claim("iss", lambda _, t: str(t.claims["iss"]).upper()),
        "tenant_not_ours": claim("tid", lambda *_: scene.STRANGER),
        "tenant_is_no_guid": claim("tid", lambda rng, t: rng.choice(["common", "", f"{{{t.claims['tid']}}}", 7])),
        "version_unknown": claim("ver", lambda rng, _: rng.choice(["1", "2", "3.0", "1.0 ", 2.0, 1, None])),
        "version_of_the_other": claim("ver", lambda _, t: "2.0" if t.claims["ver"] == "1.0" else "1.0"),
        "algorithm_other": lambda rng, draft: header("alg", rng.choice(["none", "HS256", "RS384", "PS256", "rs256", "", None]))(rng, draft),
        "critical_extension": header("crit", ["exp"]),
        "kid_unknown": header("kid", "kid-nobody"),
        "kid_in_other_case": header("kid", "KID-ANY"),
        "kid_of_another_key": header("kid", "kid-home"),
        "kid_is_number": header("kid", 7),
    },
)
family(
    "draft",
    "verified",
    {
        "barely_expired": claim("exp", lambda rng, _: scene.NOW - rng.choice([1, 299])),
        "barely_not_yet_valid": claim("nbf", lambda rng, _: scene.NOW + rng.choice([1, 300])),
        "tenant_in_upper_case": claim("tid", lambda _, t: str(t.claims["tid"]).upper()),
        "times_at_the_limits": claim("exp", lambda *_: 2**63 - 1),
        "unknown_claim": claim("xms_extra", lambda *_: {"deep": [1, None]}),
        "unknown_header": header("x5t", "AAAA"),
        "the_other_publisher_claim_too": lambda rng, draft: other_publisher_too(rng, draft),
    },
)


def other_issuer(token: Token) -> str:
    version = "2.0" if token.claims["ver"] == "1.0" else "1.0"  # type: ignore[index]
    return graph.issuer(version, str(token.claims["tid"]), scene.LOGIN)  # type: ignore[index]


def moved_slash(issuer: str) -> str:
    return issuer[:-1] if issuer.endswith("/") else issuer + "/"


def swapped_tenant(token: Token) -> str:
    tenant = str(token.claims["tid"])  # type: ignore[index]
    return str(token.claims["iss"]).replace(tenant, scene.OTHER if tenant == scene.HOME else scene.HOME)  # type: ignore[index]


def other_publisher_too(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    other = "azp" if publisher(token) == "appid" else "appid"
    token.claims[other] = rng.choice([graph.PUBLISHER, scene.STRANGER])  # type: ignore[index]


@mutation("draft", "unverified")
def publisher_other(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    token.claims[publisher(token)] = rng.choice([scene.CLIENT, graph.PUBLISHER.upper(), graph.PUBLISHER + " ", "", None])  # type: ignore[index]


@mutation("draft", "unverified")
def publisher_in_the_other_claim(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    name = publisher(token)
    token.claims["azp" if name == "appid" else "appid"] = token.claims.pop(name)  # type: ignore[union-attr, index]


@mutation("draft", "unverified")
def claim_missing(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    del token.claims[rng.choice(["aud", "iss", "nbf", "exp", "tid", "ver", publisher(token)])]  # type: ignore[union-attr]


@mutation("draft", "unverified")
def claim_under_another_name(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    name = rng.choice(["aud", "iss", "nbf", "exp", "tid", "ver", publisher(token)])
    token.claims[name.upper()] = token.claims.pop(name)  # type: ignore[union-attr, index]


@mutation("draft", "unverified")
def header_member_missing(rng: random.Random, draft: Draft) -> None:
    del rng.choice(draft.tokens).header[rng.choice(["alg", "kid"])]  # type: ignore[union-attr]


@mutation("draft", "unverified")
def critical_extension_null(rng: random.Random, draft: Draft) -> None:
    header("crit", None)(rng, draft)


@mutation("draft")
def claim_odd(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    name = rng.choice(list(token.claims))  # type: ignore[arg-type]
    token.claims[name] = odd_value(rng, token.claims[name])  # type: ignore[index]


@mutation("draft")
def header_odd(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    name = rng.choice(list(token.header))  # type: ignore[arg-type]
    token.header[name] = odd_value(rng, token.header[name])  # type: ignore[index]


@mutation("draft")
def claims_spoiled(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    token.claims = spoiled_text(rng, json.dumps(token.claims)).encode()


@mutation("draft", "unverified")
def claim_twice(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    name = rng.choice(["aud", "iss", "nbf", "exp", "tid", "ver", publisher(token)])
    extra = f',{json.dumps(name)}:{json.dumps(token.claims[name])}}}'  # type: ignore[index]
    token.claims = (json.dumps(token.claims)[:-1] + extra).encode()


@mutation("draft", "verified")
def unknown_claim_twice(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    token.claims = (json.dumps(token.claims)[:-1] + ',"rh":"0.A","rh":"0.B"}').encode()


@mutation("draft", "unverified")
def claims_are_no_object(rng: random.Random, draft: Draft) -> None:
    rng.choice(draft.tokens).claims = rng.choice([b"", b"null", b"{}", b"[]", b'"x"', b"\xff\xfe"])


@mutation("draft", "unverified")
def claims_are_a_list(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    names = ["ver", "tid", "iss", "aud", "appid", "azp", "exp", "nbf"]
    token.claims = json.dumps([token.claims.get(name) for name in names]).encode()  # type: ignore[union-attr]


@mutation("draft", "unverified")
def header_is_a_list(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    token.header = json.dumps(["RS256", token.header["kid"], None]).encode()  # type: ignore[call-overload, index]


@mutation("draft", "unverified")
def signed_by_a_forger(rng: random.Random, draft: Draft) -> None:
    rng.choice(draft.tokens).key = scene.FORGERS_KEY


@mutation("draft", "unverified")
def signed_by_a_key_of_consumers(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    token.key, token.header["kid"] = "consumers", "kid-consumers"  # type: ignore[index]


@mutation("draft")
def signed_by_a_key_of_the_home_tenant(rng: random.Random, draft: Draft) -> None:
    token = rng.choice(draft.tokens)
    token.key, token.header["kid"] = "home", "kid-home"  # type: ignore[index]


@mutation("draft", "verified")
def very_long_token(rng: random.Random, draft: Draft) -> None:
    rng.choice(draft.tokens).claims["groups"] = ["x" * 20_000]  # type: ignore[index]


@mutation("draft")
def tenants_swapped_between_tokens(rng: random.Random, draft: Draft) -> None:
    del rng
    for token in draft.tokens:
        other = scene.OTHER if token.claims["tid"] == scene.HOME else scene.HOME  # type: ignore[index]
        token.claims.update(tid=other, iss=graph.issuer(str(token.claims["ver"]), other, scene.LOGIN))  # type: ignore[union-attr, index]


@mutation("draft", "verified")
def a_bad_token_beside_the_good(rng: random.Random, draft: Draft) -> None:
    bad = good_token(rng, rng.choice([scene.HOME, scene.OTHER, scene.STRANGER]))
    bad.key = scene.FORGERS_KEY
    draft.tokens.insert(rng.randint(0, len(draft.tokens)), bad)


@mutation("draft", "verified")
def another_good_token(rng: random.Random, draft: Draft) -> None:
    draft.tokens.insert(rng.randint(0, len(draft.tokens)), good_token(rng, rng.choice([scene.HOME, scene.OTHER])))


@mutation("draft", "verified")
def a_good_token_twice(rng: random.Random, draft: Draft) -> None:
    draft.tokens.append(rng.choice(draft.tokens))


@mutation("draft")
def a_token_fewer(rng: random.Random, draft: Draft) -> None:
    draft.tokens.pop(rng.randrange(len(draft.tokens)))


# Sealing.


def resealed(**changes: Json) -> Callable:
    def apply(rng: random.Random, draft: Draft) -> None:
        reseal(rng, draft, graph.Sealing(**changes))  # type: ignore[arg-type]

    return apply


def reseal(rng: random.Random, draft: Draft, way: graph.Sealing, document: bytes | None = None) -> dict[str, Json]:
    item = rng.choice(draft.items)
    pair = scene.key_pair(*rng.choice(CERTIFICATES))
    text = graph.emergency_document("call-x", "Global") if document is None else document
    item["encryptedContent"] = graph.seal(text, pair.certificate, pair.certificate_id, way)
    return item["encryptedContent"]  # type: ignore[return-value]


family(
    "draft",
    "verifiedWithoutDetails",
    {
        "oaep_sha256": resealed(oaep_hash=hashes.SHA256, mgf_hash=hashes.SHA256),
        "oaep_sha256_mgf_sha1": resealed(oaep_hash=hashes.SHA256),
        "oaep_sha1_mgf_sha256": resealed(mgf_hash=hashes.SHA256),
        "wrapped_by_pkcs1": resealed(pkcs1=True),
        "signed_the_text": resealed(sign_text=True),
        "signed_the_plaintext": resealed(sign_plaintext=True),
        "signed_with_sha1": resealed(signature_hash="sha1"),
        "signed_with_sha512": resealed(signature_hash="sha512"),
        "signed_with_another_key": resealed(signing_key=b"k" * 32),
        "key_of_16_bytes": resealed(key=b"0123456789abcdef"),
        "key_of_24_bytes": resealed(key=b"0123456789abcdef01234567"),
    },
)
family("draft", "verified", {"iv_from_the_second_half": resealed(iv_start=16), "key_of_zeros": resealed(key=bytes(32))})


@mutation("draft", "verifiedWithoutDetails")
def padding_missing(rng: random.Random, draft: Draft) -> None:
    reseal(rng, draft, graph.Sealing(pad=False), bytes([rng.choice([0, 17, 32, 255])]) * 32)


@mutation("draft", "verifiedWithoutDetails")
def nothing_encrypted(rng: random.Random, draft: Draft) -> None:
    reseal(rng, draft, graph.Sealing(pad=False), b"")


@mutation("draft", "verified")
def any_document(rng: random.Random, draft: Draft) -> None:
    reseal(rng, draft, graph.GRAPHS_WAY, rng.randbytes(rng.choice([0, 1, 15, 16, 17, 5000])))


@mutation("draft", "verifiedWithoutDetails")
def sealed_for_a_lost_certificate(rng: random.Random, draft: Draft) -> None:
    pair = scene.key_pair(*LOST)
    rng.choice(draft.items)["encryptedContent"] = graph.seal(b"{}", pair.certificate, pair.certificate_id)


@mutation("draft", "verifiedWithoutDetails")
def sealed_for_one_labelled_as_another(rng: random.Random, draft: Draft) -> None:
    used, named = (scene.key_pair(*each) for each in rng.sample(CERTIFICATES, 2))
    content = graph.seal(b"{}", used.certificate, named.certificate_id)
    content["encryptionCertificateThumbprint"] = graph.thumbprint(named.certificate)
    rng.choice(draft.items)["encryptedContent"] = content


@mutation("draft", "verified")
def id_names_another_thumbprint_the_right_one(rng: random.Random, draft: Draft) -> None:
    content_of(rng, draft)["encryptionCertificateId"] = rng.choice([*(name for name, _ in CERTIFICATES), "?", None, 7])


@mutation("draft", "verified")
def thumbprint_names_another_id_the_right_one(rng: random.Random, draft: Draft) -> None:
    other = graph.thumbprint(scene.key_pair(*rng.choice(CERTIFICATES)).certificate)
    content_of(rng, draft)["encryptionCertificateThumbprint"] = rng.choice([other, "?", "", None, 7, "\u017f"])


@mutation("draft", "verified")
def thumbprint_in_lower_case_alone(rng: random.Random, draft: Draft) -> None:
    content = content_of(rng, draft)
    content["encryptionCertificateThumbprint"] = str(content["encryptionCertificateThumbprint"]).lower()
    content.pop("encryptionCertificateId")


@mutation("draft", "verifiedWithoutDetails")
def neither_id_nor_thumbprint(rng: random.Random, draft: Draft) -> None:
    content = content_of(rng, draft)
    content.pop("encryptionCertificateId")
    content.pop("encryptionCertificateThumbprint")


@mutation("draft", "verifiedWithoutDetails")
def content_bit_flipped(rng: random.Random, draft: Draft) -> None:
    content = content_of(rng, draft)
    name = rng.choice(["data", "dataSignature", "dataKey"])
    data = bytearray(graph.unb64(str(content[name])))
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    content[name] = graph.b64(bytes(data))


@mutation("draft", "verifiedWithoutDetails")
def content_cut_or_longer(rng: random.Random, draft: Draft) -> None:
    content = content_of(rng, draft)
    name = rng.choice(["data", "dataSignature", "dataKey"])
    data = graph.unb64(str(content[name]))
    # Without a zero in front the number is the same: that is a mutation of its own.
    shorter = data[1:] if data[:1] != b"\0" else data[:-2]
    content[name] = graph.b64(rng.choice([data[:-1], shorter, data[: len(data) // 2], data + b"\0", b"", data[:-16]]))


@mutation("draft", "verifiedWithoutDetails")
def wrapped_key_without_its_leading_zero(rng: random.Random, draft: Draft) -> None:
    """A wrapped key is a number in as many bytes as the key has (RFC 8017 section 7.1.2), leading zeros included."""
    wrapped = b""
    while not wrapped.startswith(b"\0"):
        content = reseal(rng, draft, graph.GRAPHS_WAY)
        wrapped = graph.unb64(str(content["dataKey"]))
    content["dataKey"] = graph.b64(wrapped[1:])


@mutation("draft", "verifiedWithoutDetails")
def content_in_another_base64(rng: random.Random, draft: Draft) -> None:
    content = content_of(rng, draft)
    name = rng.choice(["data", "dataSignature", "dataKey"])
    content[name] = other_base64(rng, str(content[name]))


@mutation("draft", "verifiedWithoutDetails")
def content_member_missing(rng: random.Random, draft: Draft) -> None:
    content_of(rng, draft).pop(rng.choice(["data", "dataSignature", "dataKey"]))


@mutation("draft", "verifiedWithoutDetails")
def content_missing(rng: random.Random, draft: Draft) -> None:
    item = rng.choice(draft.items)
    value = rng.choice([None, "x", 7, [], {}, True])
    item["encryptedContent"] = value


@mutation("draft")
def content_of_another_item(rng: random.Random, draft: Draft) -> None:
    one, other = rng.choice(draft.items), rng.choice(draft.items)
    one["encryptedContent"], other["encryptedContent"] = other["encryptedContent"], one["encryptedContent"]


def content_of(rng: random.Random, draft: Draft) -> dict[str, Json]:
    return rng.choice(draft.items)["encryptedContent"]  # type: ignore[return-value]


def other_base64(rng: random.Random, text: str) -> str:
    """The same bytes, or nearly, in a form that is not plain canonical base64."""
    forms = [text + "=", "=" + text, text + "\n", " " + text, text[:4] + "\r\n" + text[4:], text + "====", text[:-1], "*" + text]
    if text.rstrip("=") != text:
        forms += [text.rstrip("="), text.rstrip("=") + "A"]
        # The last character before the padding carries bits that mean nothing, and must be zero.
        stem, alphabet = text.rstrip("="), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        forms.append(stem[:-1] + alphabet[alphabet.index(stem[-1]) + 1] + text[len(stem) :])
    if "+" in text or "/" in text:
        forms.append(text.replace("+", "-").replace("/", "_"))
    return rng.choice(forms)


# Items.


def member(name: str, *values: Json) -> Callable:
    def apply(rng: random.Random, draft: Draft) -> None:
        rng.choice(draft.items)[name] = rng.choice(values)

    return apply


family(
    "draft",
    "unverified",
    {
        "client_state_wrong": member("clientState", "", "x", scene.CLIENT_STATES[0][:-1], scene.CLIENT_STATES[0] + "=", scene.CLIENT_STATES[1].upper()),
        "client_state_missing": member("clientState", None, 7, [scene.CLIENT_STATES[0]], {}, True),
        "item_of_a_stranger": member("tenantId", scene.STRANGER),
    },
)
family(
    "draft",
    "verified",
    {
        "resource_other": member("resource", "", "users/1", graph.resource_path("Global") + "/x", graph.resource_path("Global")[:-1], "//" + graph.resource_path("Global")),
        "resource_is_no_text": member("resource", None, 7, [], {}),
        "policy_not_configured": member("resource", graph.resource_path("Warehouse"), graph.resource_path("Globa"), graph.resource_path(" Global")),
        "policy_badly_quoted": member("resource", "communications/calls/getEmergencyEventsByPolicy(policyName='O'Hare')", "communications/calls/getEmergencyEventsByPolicy(policyName='')"),
        "tenant_is_no_guid_in_item": member("tenantId", "", "contoso", None, 7, [scene.HOME], scene.HOME.replace("-", ""), "{" + scene.HOME + "}"),
        "subscription_unknown": member("subscriptionId", "", None, 7, scene.STRANGER),
        "change_type_other": member("changeType", "created", "unknownFutureValue", None, 7),
        "organization_other": member("organizationId", scene.STRANGER, None),
        "resource_data_odd": member("resourceData", None, [], "x", {"id": 7}),
        "item_id": member("id", "item-1", None, 7),
        "new_member": member("futureMember", {"a": [1, 2.5, None, "\u00e9"]}),
        "lifecycle_event_is_no_text": member("lifecycleEvent", None, 7, {}),
        "lifecycle_event_beside_content": member("lifecycleEvent", "missed", ""),
    },
)


@mutation("draft", "verified")
def tenant_of_item_in_upper_case(rng: random.Random, draft: Draft) -> None:
    item = rng.choice(draft.items)
    item["tenantId"] = str(item["tenantId"]).upper()


@mutation("draft", "verified")
def resource_in_another_form(rng: random.Random, draft: Draft) -> None:
    item = rng.choice(draft.items)
    resource = str(item["resource"])
    item["resource"] = rng.choice(["/" + resource, resource.upper(), resource.replace("getEmergency", "GetEMERGENCY")])


@mutation("draft")
def quote_written_as_control_character(rng: random.Random, draft: Draft) -> None:
    item = rng.choice(draft.items)
    item["tenantId"], item["resource"] = scene.HOME, graph.resource_path("O\0Hare")


@mutation("draft")
def tenants_swapped_between_items(rng: random.Random, draft: Draft) -> None:
    item = rng.choice(draft.items)
    tenant, policy = rng.choice(scene.POLICIES)
    item["tenantId"] = tenant
    if rng.random() < 0.7:
        item["resource"] = graph.resource_path(policy)


@mutation("draft", "lifecycle")
def lifecycle_instead(rng: random.Random, draft: Draft) -> None:
    event = rng.choice(["reauthorizationRequired", "subscriptionRemoved", "missed", "futureEvent", ""])
    item = graph.lifecycle_notification(rng.choice([scene.HOME, scene.OTHER]), rng.choice(scene.CLIENT_STATES), event)
    draft.items[rng.randrange(len(draft.items))] = item


@mutation("draft", "verified")
def client_state_made(rng: random.Random, draft: Draft) -> None:
    for item in draft.items:
        tenant = scene.OTHER if item["tenantId"] == scene.OTHER else scene.HOME
        item["clientState"] = scene.made_client_state(tenant, next(name for of, name in scene.POLICIES if of == tenant))


@mutation("draft", "unverified")
def client_state_made_and_spoiled(rng: random.Random, draft: Draft) -> None:
    for item in draft.items:
        made = scene.made_client_state(*rng.choice(scene.POLICIES))
        at = rng.randrange(len(made) - 1)
        item["clientState"] = made[:at] + ("A" if made[at] != "A" else "B") + made[at + 1:]


@mutation("draft", "unverified")
def client_state_made_for_another_tenant(rng: random.Random, draft: Draft) -> None:
    for item in draft.items:
        other = scene.HOME if item["tenantId"] == scene.OTHER else scene.OTHER
        item["clientState"] = scene.made_client_state(other, next(name for of, name in scene.POLICIES if of == other))


@mutation("draft", "lifecycleUnknown")
def lifecycle_forged(rng: random.Random, draft: Draft) -> None:
    tenant, state = rng.choice([(scene.STRANGER, "1.g1.AAAA.AAAA"), (scene.HOME, "x"), (scene.OTHER, None)])
    draft.items[rng.randrange(len(draft.items))] = graph.lifecycle_notification(tenant, state, "missed")  # type: ignore[arg-type]


@mutation("draft")
def item_missing_a_member(rng: random.Random, draft: Draft) -> None:
    item = rng.choice(draft.items)
    item.pop(rng.choice(list(item)))


@mutation("draft")
def item_odd(rng: random.Random, draft: Draft) -> None:
    item = rng.choice(draft.items)
    name = rng.choice(list(item))
    item[name] = odd_value(rng, item[name])


@mutation("draft")
def content_odd(rng: random.Random, draft: Draft) -> None:
    content = content_of(rng, draft)
    name = rng.choice(list(content))
    content[name] = odd_value(rng, content[name])


# The collection as JSON.


def tokens_replaced(*values: Json) -> Callable:
    def apply(rng: random.Random, collection: dict[str, Json]) -> None:
        collection["validationTokens"] = rng.choice(values)

    return apply


family("collection", "unverified", {"no_tokens": tokens_replaced(None, [], [None], [""], {}, 7, "x", [7, {}])})


@mutation("collection", "unverified")
def tokens_not_sent(rng: random.Random, collection: dict[str, Json]) -> None:
    del rng
    del collection["validationTokens"]


@mutation("collection", "unverified")
def tokens_are_one_text(rng: random.Random, collection: dict[str, Json]) -> None:
    collection["validationTokens"] = rng.choice(collection["validationTokens"])  # type: ignore[arg-type]


@mutation("collection", "unverified")
def tokens_in_the_item(rng: random.Random, collection: dict[str, Json]) -> None:
    del rng
    collection["value"][0]["validationTokens"] = collection.pop("validationTokens")  # type: ignore[index]


@mutation("collection", "unverified")
def token_in_another_form(rng: random.Random, collection: dict[str, Json]) -> None:
    spoil_token(rng, collection, lambda token: other_token_form(rng, token))


@mutation("collection", "unverified")
def token_signature_changed(rng: random.Random, collection: dict[str, Json]) -> None:
    spoil_token(rng, collection, lambda token: changed_signature(rng, token))


@mutation("collection", "unverified")
def token_payload_exchanged(rng: random.Random, collection: dict[str, Json]) -> None:
    def exchanged(token: str) -> str:
        head, claims, signature = token.split(".")
        parsed = json.loads(jwt.utils.base64url_decode(claims))
        parsed["exp"] += 1
        return ".".join((head, base64url(parsed).decode(), signature))

    spoil_token(rng, collection, exchanged)


@mutation("collection", "unverified")
def token_signed_by_public_key(rng: random.Random, collection: dict[str, Json]) -> None:
    """HMAC under the public key's text, which a verifier accepts that lets the header choose the algorithm."""

    def confused(token: str) -> str:
        claims = token.split(".")[1]
        key = scene.rsa_key("any").public_key()
        secret = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        signed = base64url({"alg": "HS256", "kid": "kid-any"}).decode() + "." + claims
        return f"{signed}.{base64url(graph.hmac.digest(secret, signed.encode(), 'sha256')).decode()}"

    spoil_token(rng, collection, confused)


@mutation("collection")
def token_spoiled(rng: random.Random, collection: dict[str, Json]) -> None:
    spoil_token(rng, collection, lambda token: spoiled_text(rng, token))


@mutation("collection", "verified")
def odd_tokens_beside_the_good(rng: random.Random, collection: dict[str, Json]) -> None:
    collection["validationTokens"].insert(0, rng.choice([None, 7, "", "..", {}, [], "a.b.c"]))  # type: ignore[attr-defined]


@mutation("collection", "verified")
def an_item_twice(rng: random.Random, collection: dict[str, Json]) -> None:
    collection["value"].append(deepcopy(rng.choice(collection["value"])))  # type: ignore[attr-defined, arg-type]


@mutation("collection")
def an_item_that_is_none(rng: random.Random, collection: dict[str, Json]) -> None:
    collection["value"].insert(0, rng.choice([None, 7, "x", [], {}]))  # type: ignore[attr-defined]


@mutation("collection")
def value_odd(rng: random.Random, collection: dict[str, Json]) -> None:
    collection["value"] = odd_value(rng, collection["value"])


@mutation("collection", "verified")
def new_member_of_the_collection(rng: random.Random, collection: dict[str, Json]) -> None:
    collection[rng.choice(["@odata.context", "Value", "ValidationTokens"])] = rng.choice([None, [], "x"])


@mutation("collection")
def anything_odd(rng: random.Random, collection: dict[str, Json]) -> None:
    """Any value, wherever it stands."""
    place: Json = collection
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))  # type: ignore[arg-type]
        inner = place[key]  # type: ignore[index]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.15:
            place[key] = odd_value(rng, inner)  # type: ignore[index]
            return
        place = inner


def spoil_token(rng: random.Random, collection: dict[str, Json], change: Callable[[str], str]) -> None:
    tokens: list[str] = collection["validationTokens"]  # type: ignore[assignment]
    if tokens:
        index = rng.randrange(len(tokens))
        tokens[index] = change(tokens[index])


def changed_signature(rng: random.Random, token: str) -> str:
    head, _, signature = token.rpartition(".")
    data = bytearray(jwt.utils.base64url_decode(signature))
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    forms = [bytes(data), b"", bytes(data[:-1]), b"\0" + jwt.utils.base64url_decode(signature), bytes(len(data))]
    return f"{head}.{base64url(rng.choice(forms)).decode()}"


def other_token_form(rng: random.Random, token: str) -> str:
    """The same three parts, written as RFC 7515 does not allow."""
    head, claims, signature = token.split(".")
    # 256 bytes leave four bits in the last character that mean nothing.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    loose = signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1]
    return rng.choice(
        [
            token + "=",
            token + "==",
            token + "\n",
            " " + token,
            f"{head}..{claims}.{signature}",
            f"{head}.{claims}",
            f"{head}.{claims}.",
            f"{token}.{signature}",
            f".{token}",
            f"{head}.{claims}.{loose}",
            f"{head}=.{claims}.{signature}",
            f"{head[:5]} {head[5:]}.{claims}.{signature}",
            f"Bearer {token}",
            json.dumps(token),
            f"{head}\u2024{claims}.{signature}",
        ]
    )


# The text.


@mutation("text", "verified")
def oddities_around(rng: random.Random, text: str) -> str:
    before, after = rng.choice(["", "\ufeff", " ", "\r\n", "\0"]), rng.choice(["", "\0", "\0\0", "\r\n", " \t"])
    return before + text + after


@mutation("text", "verified")
def trailing_commas(rng: random.Random, text: str) -> str:
    return re.sub(r'("(?:\\.|[^"\\])*")|([}\]])', lambda m: m[1] or rng.choice(["", ",", " ,\n"]) + m[2], text)


@mutation("text")
def a_member_twice(rng: random.Random, text: str) -> str:
    """A second member of a name that is there already, before or after the first."""
    name = rng.choice(["tenantId", "clientState", "resource", "encryptedContent", "data", "dataKey", "lifecycleEvent"])
    extra = f'"{name}": {rng.choice(["null", "7", json.dumps(scene.OTHER), json.dumps(scene.CLIENT_STATES[1])])}, '
    places = [found.start() for found in re.finditer(r'"(subscriptionId|dataSignature|organizationId)":', text)]
    place = rng.choice(places) if places else 1
    return text[:place] + extra + text[place:]


@mutation("text")
def the_collection_twice(rng: random.Random, text: str) -> str:
    extra = rng.choice(['"value": []', '"value": null', '"validationTokens": []', '"validationTokens": null'])
    return f"{{{extra}, {text[1:]}" if rng.random() < 0.5 else f"{text[:-1]}, {extra}}}"


@mutation("text", "verified")
def escaped_text(rng: random.Random, text: str) -> str:
    """Characters written as \\uXXXX: the same JSON."""
    return re.sub(r"(?<=[a-z])[a-z](?=[a-z])", lambda found: f"\\u{ord(found[0]):04x}" if rng.random() < 0.02 else found[0], text)


@mutation("text")
def text_spoiled(rng: random.Random, text: str) -> str:
    return spoiled_text(rng, text)


@mutation("text", "400")
def text_is_no_collection(rng: random.Random, text: str) -> str:
    choices = ["", " ", "null", "[]", "{}", "hello", '"x"', "7", '{"value":{}}', '{"value":null}', '{"Value":[]}', "\0"]
    return rng.choice([*choices, text[:-1], text + "x", f"[{text}]", text + text, "\ufeff\ufeff" + text])


@mutation("text", "400")
def text_has_half_a_character(rng: random.Random, text: str) -> str:
    return '{"note": "' + rng.choice(["\\ud800", "\\udc00", "\\ud800\\ud800", "\\ud83d x"]) + '", ' + text[1:]


@mutation("text", "400")
def text_has_what_is_no_number(rng: random.Random, text: str) -> str:
    return '{"note": ' + rng.choice(["NaN", "Infinity", "1e999", "01", "+1", ".5", "0x1", "1."]) + ", " + text[1:]


@mutation("text", "verified")
def text_is_nested_deeply(rng: random.Random, text: str) -> str:
    depth = rng.choice([100, 200])
    return '{"note": ' + "[" * depth + "]" * depth + ", " + text[1:]


# What is odd.


def odd_value(rng: random.Random, value: Json) -> Json:
    """Something near to a value, or far from it."""
    far: list[Json] = [None, True, False, 0, 1, -1, 1.5, 2**53, "", " ", "x", "\0", "\u00e9", [], {}, [None], {"a": 1}]
    near: list[Json] = [[value], {"value": value}, json.dumps(value)]
    if isinstance(value, str):
        near += [value.upper(), value.lower(), value.swapcase(), value + " ", " " + value, value + "\n", value[:-1], value[1:]]
        near += [value * 2, value[::-1], value + "\0", value.replace("-", ""), value.replace("/", "\\")]
    if type(value) is int:
        near += [value + 1, value - 1, -value, float(value), str(value), value * 1000, value + 300, value - 86400]
    if isinstance(value, list):
        near += [value * 2, value[::-1], value[1:]]
    return deepcopy(rng.choice(far if rng.random() < 0.4 else near))


def spoiled_text(rng: random.Random, text: str) -> str:
    """A few characters deleted, inserted, exchanged or repeated."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        place = rng.randrange(len(text) + 1)
        inserted = rng.choice(['"', "\\", ",", ":", "{", "}", "[", "]", "0", "-", ".", "=", " ", "a", "A", "\n", "\t", "\x0c", "\u00e9", "\U0001f600"])
        length = rng.choice([0, 1, 1, 1, 5])
        text = text[:place] + rng.choice([inserted, "", text[place : place + 3] * 2]) + text[place + length :]
    return text
