"""The organisation of these tests: its tenants, policies, keys and client states, and what receivers know of them."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

import graph_reference as graph
from graph_judge import Judge

HOME = "11111111-2222-3333-4444-555555555555"
OTHER = "66666666-7777-8888-9999-aaaaaaaaaaaa"
STRANGER = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
CLIENT = "cccccccc-1111-2222-3333-444444444444"
LOGIN = "https://login.microsoftonline.com"
POLICIES = [(HOME, "Global"), (HOME, "O'Hare"), (OTHER, "Site 1")]
POLICY_NAMES = f"Global,O'Hare,{OTHER}/Site 1"
CLIENT_STATES = ["c2VjcmV0LXN0YXRlLW51bWJlci1vbmUtb2YtdGVzdHM", "b2xkLXN0YXRlLXRoYXQtaXMtc3RpbGwtaW4tZmxpZ2g"]
CLIENT_STATE_KEY = bytes(range(32))
NOW = 1_795_435_445
MOMENT = "2026-11-23T12:00:00Z"

# The issuer member of each signing key: who it may sign for. Two keys share one name, as v1 and v2 documents overlap.
ANYBODY = LOGIN + "/{tenantid}/v2.0"
SIGNING_KEYS: list[tuple[str, str, str | None]] = [
    ("any", "kid-any", ANYBODY),
    ("first", "kid-shared", ANYBODY),
    ("second", "kid-shared", "https://sts.windows.net/{tenantid}/"),
    ("bare", "kid-bare", None),
    ("home", "kid-home", f"{LOGIN}/{HOME}/v2.0"),
    ("consumers", "kid-consumers", f"{LOGIN}/{CONSUMERS}/v2.0"),
]
# Not Entra's: what a forger signs with.
FORGERS_KEY = "forger"


@dataclass(frozen=True)
class KeyPair:
    """A decryption key with its certificate."""

    certificate_id: str
    certificate: bytes
    private_key: rsa.RSAPrivateKey


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of this name, made once in a run."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def key_pair(certificate_id: str, bits: int = 2048) -> KeyPair:
    key = rsa_key(f"encryption {certificate_id}", bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, certificate_id)])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(year=2036))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return KeyPair(certificate_id, certificate, key)


def keyring(pairs: list[KeyPair], client_states: list[str] | None = None, signing_keys: list[dict] | None = None) -> str:
    """A keyring as the renewer stores it; if not told otherwise with the client states and signing keys of this scene."""
    states = [stored(id=f"s{index}", value=value) for index, value in enumerate(client_states or CLIENT_STATES)]
    entra = signing_keys or [jwk(name, kid, issuer) for name, kid, issuer in SIGNING_KEYS]
    keys = [
        stored(
            certificateId=pair.certificate_id,
            certificate=graph.b64(pair.certificate),
            privateKey=graph.private_key_base64(pair.private_key),
        )
        for pair in pairs
    ]
    made_by = [stored(id="g1", key=unpadded(CLIENT_STATE_KEY))]
    return json.dumps({
        "version": 1, "keys": keys, "clientStateKeys": made_by, "clientStates": states, "signingKeys": {"fetchedAt": MOMENT, "keys": entra},
    })


def stored(**members: str) -> dict[str, str | None]:
    return {**members, "createdAt": MOMENT, "retiredAt": None}


def jwk(name: str, kid: str, issuer: str | None) -> dict[str, str]:
    numbers = rsa_key(name).public_key().public_numbers()
    key = {"kid": kid, "n": base64url(numbers.n), "e": base64url(numbers.e)}
    return key if issuer is None else {**key, "issuer": issuer}


def base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return graph.b64(data).rstrip("=").replace("+", "-").replace("/", "_")


def settings(pairs: list[KeyPair], unverified_calls: str = "Alert") -> dict[str, object]:
    """What the Rust judge is told once."""
    return {
        "keyring": keyring(pairs),
        "clientId": CLIENT,
        "tenantId": HOME,
        "policyNames": POLICY_NAMES,
        "loginEndpoint": LOGIN,
        "now": NOW,
        "unverifiedCalls": unverified_calls,
    }


def judge(pairs: list[KeyPair], unverified_calls: str = "Alert") -> Judge:
    """The Python judge with the same knowledge."""
    return Judge(keyring(pairs), CLIENT, POLICIES, LOGIN, NOW, reject_unverified=unverified_calls == "Reject")


def made_client_state(tenant: str, policy: str) -> str:
    """A client state as the renewer makes it with the keyring's key."""
    digest = hashlib.sha256(f"{tenant}/{policy.lower()}".encode()).digest()[:16]
    named = f"1.g1.{unpadded(digest)}"
    return f"{named}.{unpadded(hmac.digest(CLIENT_STATE_KEY, named.encode(), 'sha256'))}"


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
