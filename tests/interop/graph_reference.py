"""Builds and opens Microsoft Graph's notifications with resource data, step by step as Microsoft's pages tell it.

The pages are "Set up change notifications that include resource data" and "Receive change notifications through
webhooks". Nothing here comes from the Rust crates: it is the second opinion that they are compared with.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
TOKEN_LIFETIME = 24 * 3600


class Unreadable(Exception):
    """The content cannot be opened. Which step failed is not told, as a receiver must not tell it."""


@dataclass(frozen=True)
class Sealing:
    """How content is sealed. The defaults are Graph's way, anything else is a way to get it wrong."""

    key: bytes | None = None
    oaep_hash: type[hashes.HashAlgorithm] = hashes.SHA1
    mgf_hash: type[hashes.HashAlgorithm] = hashes.SHA1
    pkcs1: bool = False
    iv_start: int = 0
    sign_text: bool = False
    sign_plaintext: bool = False
    signature_hash: str = "sha256"
    signing_key: bytes | None = None
    pad: bool = True


GRAPHS_WAY = Sealing()


def seal(document: bytes, certificate_der: bytes, certificate_id: str, way: Sealing = GRAPHS_WAY) -> dict[str, str]:
    """The member `encryptedContent`."""
    key = os.urandom(32) if way.key is None else way.key
    data = encrypt(document, key, way)
    signed = document if way.sign_plaintext else b64(data).encode() if way.sign_text else data
    signature = hmac.digest(way.signing_key or key, signed, way.signature_hash)
    return {
        "data": b64(data),
        "dataSignature": b64(signature),
        "dataKey": b64(wrap(key, certificate_der, way)),
        "encryptionCertificateId": certificate_id,
        "encryptionCertificateThumbprint": thumbprint(certificate_der),
    }


def encrypt(document: bytes, key: bytes, way: Sealing = GRAPHS_WAY) -> bytes:
    """AES-CBC with PKCS #7 padding; the initialisation vector is the key's first half."""
    iv = key[way.iv_start : way.iv_start + 16]
    padder = padding.PKCS7(128).padder()
    padded = padder.update(document) + padder.finalize() if way.pad else document
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def wrap(key: bytes, certificate_der: bytes, way: Sealing = GRAPHS_WAY) -> bytes:
    """The symmetric key under the certificate's public key: RSA-OAEP with SHA-1."""
    public_key = x509.load_der_x509_certificate(certificate_der).public_key()
    return public_key.encrypt(key, rsa_padding.PKCS1v15() if way.pkcs1 else oaep(way))  # type: ignore[union-attr]


def oaep(way: Sealing = GRAPHS_WAY) -> rsa_padding.OAEP:
    return rsa_padding.OAEP(mgf=rsa_padding.MGF1(way.mgf_hash()), algorithm=way.oaep_hash(), label=None)


def thumbprint(certificate_der: bytes) -> str:
    return hashlib.sha1(certificate_der, usedforsecurity=False).hexdigest().upper()


def unseal(content: dict[str, str], private_key: RSAPrivateKey) -> bytes:
    """Opens `encryptedContent`: unwrap the key, verify the signature, and only then decrypt."""
    try:
        key = private_key.decrypt(unb64(content["dataKey"]), oaep())
        data = unb64(content["data"])
        if len(key) != 32 or not hmac.compare_digest(hmac.digest(key, data, "sha256"), unb64(content["dataSignature"])):
            raise Unreadable
        decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        unpadder = padding.PKCS7(128).unpadder()
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise Unreadable from None


def issuer(version: str, tenant: str, login_endpoint: str) -> str:
    return f"https://sts.windows.net/{tenant}/" if version == "1.0" else f"{login_endpoint}/{tenant}/v2.0"


def token_claims(version: str, tenant: str, client_id: str, login_endpoint: str, now: int) -> dict[str, object]:
    """What Entra writes into a validation token. `version` is the claim `ver`, "1.0" or "2.0"."""
    return {
        "aud": client_id,
        "iss": issuer(version, tenant, login_endpoint),
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now - 60 + TOKEN_LIFETIME,
        "appid" if version == "1.0" else "azp": PUBLISHER,
        "idp" if version == "1.0" else "azpacr": issuer("1.0", tenant, "") if version == "1.0" else "2",
        "tid": tenant,
        "ver": version,
    }


def sign(claims: dict[str, object], kid: str, key: RSAPrivateKey) -> str:
    """A validation token."""
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})


def resource_path(policy: str) -> str:
    name = policy.replace("'", "''")
    return f"communications/calls/getEmergencyEventsByPolicy(policyName='{name}')"


def emergency_document(call_id: str, policy: str) -> bytes:
    """What Graph encrypts, wrapped as on the page "Get change notifications for Microsoft Teams emergency calls"."""
    event = {
        "id": call_id,
        "callEventType": "callStarted",
        "eventDateTime": "2026-11-23T09:04:05.1234567+00:00",
        "policyName": policy,
        "emergencyNumberDialed": "911",
        "callerInfo": {
            "displayName": "Zoë Ångström",
            "upn": "zoe@contoso.example",
            "phoneNumber": "12065550100",
            "location": {
                "address": {
                    "street": "Main Street",
                    "city": "Redmond",
                    "state": "WA",
                    "postalCode": "98052",
                    "countryOrRegion": "US",
                    "additionalData": {"houseNumber": "1", "additionalInfo": "Floor 7, Room 12", "companyName": "Contoso"},
                },
                "coordinates": {"latitude": "47.64", "longitude": "-122.12"},
            },
        },
    }
    identity = {"@odata.id": f"communications/calls/{call_id}", "@odata.type": "#microsoft.graph.emergencyCallEvent"}
    return json.dumps({**identity, "id": call_id, "emergencyCallEvent": event}, ensure_ascii=False).encode()


def change_notification(tenant: str, policy: str, client_state: str, call_id: str, content: dict[str, str]) -> dict[str, object]:
    """One item: like Graph's for emergency calls it has `organizationId` and no `id`."""
    kind = "#microsoft.graph.emergencyCallEvent"
    return {
        "subscriptionId": "7d2f0a44-61b5-4b7c-9d2c-0f3c5a8e1b60",
        "subscriptionExpirationDateTime": "2026-11-24T11:00:00.0000000+00:00",
        "clientState": client_state,
        "changeType": "updated",
        "resource": resource_path(policy),
        "resourceData": {"@odata.type": kind, "@odata.id": f"communications/calls/{call_id}", "id": call_id},
        "encryptedContent": content,
        "tenantId": tenant,
        "organizationId": tenant,
    }


def lifecycle_notification(tenant: str, client_state: str, event: str) -> dict[str, object]:
    return {
        "subscriptionId": "7d2f0a44-61b5-4b7c-9d2c-0f3c5a8e1b60",
        "subscriptionExpirationDateTime": "2026-11-24T11:00:00.0000000+00:00",
        "tenantId": tenant,
        "clientState": client_state,
        "lifecycleEvent": event,
    }


def collection(items: list[object], tokens: list[object] | None) -> dict[str, object]:
    """The body that Graph posts, as JSON."""
    return {"value": items, "validationTokens": tokens}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Base64 in its one canonical form (RFC 4648 section 3.5). Anything else is an error."""
    data = base64.b64decode(text, validate=True)
    if b64(data) != text:
        raise ValueError("not canonical base64")
    return data


def private_key_base64(key: RSAPrivateKey) -> str:
    """PKCS #8 in base64, as the keyring keeps it."""
    form = serialization.PrivateFormat.PKCS8
    return b64(key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption()))
