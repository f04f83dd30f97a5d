"""Tokens by which AWS vouches for a caller: what sts:GetWebIdentityToken gives out, and the documents of their issuer.

The emulator checks such a call and answers it, but with a token that names no role and that nobody can verify. Here its
answer gets a token as AWS makes it: signed with a key that is published under the issuer's address, and with the ARN of the
caller's role as its subject.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

TOKEN = re.compile(rb"(?<=<WebIdentityToken>)[^<]+")


class Issuer:
    """An account's token issuer, with a key per signature algorithm that AWS offers; the keys are made when it starts."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._keys = {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES384": ec.generate_private_key(ec.SECP384R1()),
        }
        self._ids = {algorithm: secrets.token_hex(8) for algorithm in self._keys}

    def document(self, path: str) -> dict | None:
        """The document at this path under the issuer's address."""
        if path == ".well-known/openid-configuration":
            return {
                "issuer": self.address,
                "jwks_uri": f"{self.address}/.well-known/jwks.json",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": list(self._keys),
            }
        if path == ".well-known/jwks.json":
            public = {
                "RS256": RSAAlgorithm.to_jwk(self._keys["RS256"].public_key(), as_dict=True),
                "ES384": ECAlgorithm.to_jwk(self._keys["ES384"].public_key(), as_dict=True),
            }
            return {"keys": [{**key, "kid": self._ids[each], "alg": each, "use": "sig"} for each, key in public.items()]}
        return None

    def sign_anew(self, answer: bytes, algorithm: str, role: str | None, region: str) -> bytes:
        """The emulator's answer with a token of this issuer, made out to the role; without one, to whom the emulator says."""
        found = TOKEN.search(answer)
        assert found is not None, answer
        said = jwt.decode(found[0], options={"verify_signature": False})
        subject = role or said["sub"]
        claims = {
            "iss": self.address,
            "aud": said["aud"],
            "sub": subject,
            "iat": said["iat"],
            "exp": said["exp"],
            "jti": str(uuid.uuid4()),
            "https://sts.amazonaws.com/": {"aws_account": subject.split(":")[4], "source_region": region},
        }
        token = jwt.encode(claims, self._keys[algorithm], algorithm, {"kid": self._ids[algorithm]})
        return answer[: found.start()] + token.encode() + answer[found.end() :]


def role_of(access_key: str, functions: list[dict]) -> str | None:
    """The role in which a function has this access key. No API tells, but the emulator derives the one from the other."""
    for function in functions:
        digest = hashlib.sha256(f"{function['FunctionArn']}:{function['Role']}".encode()).hexdigest()
        if access_key == f"ASIA{digest[:16].upper()}":
            return function["Role"]
    return None
