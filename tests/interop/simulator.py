"""The Graph simulator as a program, and an endpoint to which it delivers."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from collections.abc import Iterator

import programs
import scene

HOST = "receiver.test"
SECRET = "client-secret-of-the-test"


class Endpoint(BaseHTTPRequestHandler):
    """Answers the handshake, and keeps the notifications."""

    bodies: queue.Queue[str]

    def do_POST(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if "validationToken" in query:
            return self.answer(200, query["validationToken"][0])
        self.bodies.put(body)
        return self.answer(202, "")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the test tells what matters."""


class Simulator:
    def __init__(self, origin: str, bodies: queue.Queue[str]) -> None:
        self.origin, self.bodies = origin, bodies

    def subscribe(self, policy: str, pair: scene.KeyPair, certificate: str, client_state: str, until: str) -> None:
        answer = self.token(client_secret=SECRET)
        subscription = {
            "changeType": "updated",
            "notificationUrl": f"https://{HOST}/notifications",
            "lifecycleNotificationUrl": f"https://{HOST}/notifications",
            "resource": f"communications/calls/getEmergencyEventsByPolicy(policyName='{policy}')",
            "includeResourceData": True,
            "encryptionCertificate": certificate,
            "encryptionCertificateId": pair.certificate_id,
            "expirationDateTime": until,
            "clientState": client_state,
        }
        authorization = {"Authorization": f"Bearer {answer['access_token']}", "Content-Type": "application/json"}
        self.request("POST", "/v1.0/subscriptions", json.dumps(subscription).encode(), authorization)

    def token(self, **proof: str) -> dict:
        """The token endpoint's answer to this proof."""
        shared = {"grant_type": "client_credentials", "client_id": scene.CLIENT, "scope": f"{self.origin}/.default"}
        return self.request("POST", f"/{scene.HOME}/oauth2/v2.0/token", urllib.parse.urlencode(shared | proof).encode())

    def control(self, function: str, **body: object) -> dict:
        content = {"Content-Type": "application/json"}
        return self.request("POST", f"/_control/{function}", json.dumps(body).encode(), content)

    def signing_keys(self) -> list[dict]:
        """What a receiver stores: the keys of both documents."""
        paths = [f"/{scene.HOME}/discovery/v2.0/keys", f"/{scene.HOME}/discovery/keys"]
        return [key for path in paths for key in self.request("GET", path)["keys"]]

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> dict:
        request = urllib.request.Request(self.origin + path, data=body, method=method, headers=headers or {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def codes(self, **proof: str) -> list[int]:
        """Entra's numbers for why there is no token for this proof; none if there is one."""
        try:
            self.token(**proof)
            return []
        except urllib.error.HTTPError as refusal:
            return json.loads(refusal.read())["error_codes"]


@contextmanager
def running() -> Iterator[Simulator]:
    """A simulator and an endpoint, each on a free port, until the block ends."""
    bodies: queue.Queue[str] = queue.Queue()
    handler = type("EndpointOfThisTest", (Endpoint,), {"bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [programs.rust("graph-simulator"), "--tenant", scene.HOME, "--client-id", scene.CLIENT]
        command += ["--client-secret", SECRET, "--connect-to", f"{HOST}=http://127.0.0.1:{server.server_port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield Simulator(json.loads(process.stdout.readline())["listening"], bodies)
            finally:
                process.terminate()
                server.shutdown()
