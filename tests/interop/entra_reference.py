"""Client assertions as Microsoft describes them, made and judged with PyJWT and `cryptography` alone."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography import x509

import graph_reference as graph
import scene

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def digest(certificate: bytes) -> str:
    """The header `x5t#S256`."""
    return jwt.utils.base64url_encode(hashlib.sha256(certificate).digest()).decode()


def header(pair: scene.KeyPair) -> dict[str, str]:
    return {"alg": "PS256", "typ": "JWT", "x5t#S256": digest(pair.certificate)}


def claims(audience: str) -> dict[str, object]:
    now = int(time.time())
    return {
        "aud": audience, "iss": scene.CLIENT, "sub": scene.CLIENT, "jti": str(uuid.uuid4()),
        "iat": now, "nbf": now, "exp": now + 300,
    }


def signed(pair: scene.KeyPair, header: dict, claims: dict) -> str:
    return jwt.encode(claims, pair.private_key, header.get("alg", "PS256"), header)


def judged(assertion: str, certificate: bytes, audience: str) -> dict:
    """The claims of an assertion that this certificate proves."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    assert jwt.get_unverified_header(assertion) == {"alg": "PS256", "typ": "JWT", "x5t#S256": digest(certificate)}
    required = ["aud", "iss", "sub", "jti", "iat", "nbf", "exp"]
    return jwt.decode(
        assertion, key, algorithms=["PS256"], audience=audience, issuer=scene.CLIENT, subject=scene.CLIENT,
        options={"require": required, "strict_aud": True},
    )


class TokenEndpoint(BaseHTTPRequestHandler):
    """Keeps the forms that it is sent, and gives out a token for each."""

    forms: queue.Queue[tuple[str, dict[str, str]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        pairs = urllib.parse.parse_qsl(body, strict_parsing=True, keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs)
        self.forms.put((self.path, dict(pairs)))
        token = ".".join(graph.b64(part).rstrip("=") for part in (b"{}", b'{"roles":["A"]}', b"x"))
        answer = json.dumps({"token_type": "Bearer", "expires_in": 3599, "access_token": token}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing: the test tells what matters."""


@contextmanager
def token_endpoint() -> Iterator[tuple[str, queue.Queue[tuple[str, dict[str, str]]]]]:
    """A login endpoint's address, and the paths and forms that it was sent."""
    forms: queue.Queue[tuple[str, dict[str, str]]] = queue.Queue()
    handler = type("TokenEndpointOfThisTest", (TokenEndpoint,), {"forms": forms})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", forms
        finally:
            server.shutdown()
