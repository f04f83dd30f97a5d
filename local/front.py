"""The local AWS endpoint: a proxy in front of the emulator, for the functions and for the Graph simulator.

Seven things are wanted from AWS that the emulator does not do:

- It answers for `{api}.execute-api.{region}.amazonaws.com`, the host in the deployed notification URL.
- It answers for a secret that has no value yet as AWS does, and makes its first value the current one; the emulator has an empty
  value there.
- It shows what email and SMS subscribers get: the emulator accepts those subscriptions but delivers nothing. For https
  subscriptions it is the subscriber: it confirms, and keeps what arrives.
- It is PagerDuty, and whatever else EventBridge may call by an API destination: it keeps what arrives, as it is.
- It answers `sts:GetWebIdentityToken` with a token that the issuer's published keys verify and that names the caller's
  role, as Microsoft Entra needs it; the emulator's token names no role and is signed with a secret.
- It has outages on demand, so that tests see what the functions do then.
- It says which calls of AWS the functions made, so that tests can compare them with the roles.

Like the emulator itself it refuses what a web page in the developer's browser could send; `browser_requests.py` says why.

Under `/_local/` it has an interface of its own, JSON over HTTP:

    GET    /_local/deliveries?after=N&wait=SECONDS   deliveries with a number above N; waits for one if there is none
    GET    /_local/calls                             which calls of AWS were made: who, what, on which resource
    POST   /_local/faults                            {"service": "dynamodb", "mode": "throttling", "times": 2}; faults.py says what there is
    DELETE /_local/faults                            everything works again
    POST   /_local/pager/{name}                      the address of an http subscriber
    POST   /_local/pagerduty                         PagerDuty's Events API v2
    POST   /_local/webhook/{name}                    the address of any other API destination
    GET    /_local/issuer/.well-known/...            the configuration and the keys of the issuer {front}/_local/issuer

It runs in the environment with boto3, prints one line of JSON when it listens, and ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

import faults
import web_identity
from browser_requests import API_HOST, refusal
from calls import Calls

CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}
EMAIL_FOOTER = (
    "\n\n--\nIf you wish to stop receiving notifications from this topic, please click or visit the link below to "
    "unsubscribe:\n{unsubscribe}\n\nPlease do not reply directly to this email. If you have any questions or comments "
    "regarding this email, please contact us at https://aws.amazon.com/support\n"
)


class Deliveries:
    """What subscribers got, in the order of arrival."""

    def __init__(self) -> None:
        self._items: list[dict] = []
        self._changed = threading.Condition()

    def add(self, **delivery: object) -> None:
        with self._changed:
            self._items.append({"number": len(self._items) + 1, "at": time.time(), **delivery})
            self._changed.notify_all()

    def after(self, number: int, wait: float) -> list[dict]:
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) > number, timeout=wait)
            return self._items[number:]


class Upstream:
    """The emulator."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connections = threading.local()

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, list, bytes]:
        # A kept connection may have been closed by the other side since; a fresh one is tried before giving up.
        for fresh in (False, True):
            connection = getattr(self._connections, "connection", None)
            if fresh or connection is None:
                connection = http.client.HTTPConnection(self.address, timeout=60)
                self._connections.connection = connection
            try:
                connection.request(method, target, body=body, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                if fresh:
                    raise
        raise AssertionError("unreachable")


def messages_of(form: dict[str, str]) -> list[dict[str, str]]:
    """The messages of a Publish or PublishBatch call, each with the id of its batch entry."""
    if form.get("Action") == "Publish":
        return [{"id": "", **{key: form.get(key, "") for key in ("Message", "Subject", "MessageStructure")}}]
    entries = []
    number = 1
    prefix = "PublishBatchRequestEntries.member.{}."
    while (start := prefix.format(number)) + "Id" in form:
        entry = {key: form.get(start + key, "") for key in ("Message", "Subject", "MessageStructure")}
        entries.append({"id": form[start + "Id"], **entry})
        number += 1
    return entries


def body_for(protocol: str, message: dict[str, str]) -> str:
    """What a subscriber of this protocol gets: its own part of a structured message, or the default."""
    if message["MessageStructure"] != "json":
        return message["Message"]
    parts = json.loads(message["Message"])
    return parts.get(protocol, parts["default"])


def text_of(element: ElementTree.Element, name: str) -> str | None:
    """The text of the child `name`, whatever its XML namespace."""
    for child in element.iter():
        if child.tag.rpartition("}")[2] == name:
            return child.text
    return None


class Front:
    """The state that all connections share."""

    def __init__(self, upstream: Upstream, address: str) -> None:
        self.upstream = upstream
        self.functions = self.owners_client("lambda")
        self.secrets = self.owners_client("secretsmanager")
        self.address = address
        self.issuer = web_identity.Issuer(f"{address}/_local/issuer")
        self.deliveries = Deliveries()
        self.faults = faults.Faults()
        self.calls = Calls()

    def sns(self, topic_arn: str):
        """The client that reaches this topic."""
        return self.owners_client("sns", topic_arn.split(":")[3])

    def owners_client(self, service: str, region: str = "us-east-1"):
        """As the account's owner: the functions may list neither subscriptions nor functions."""
        return boto3.client(
            service, endpoint_url=f"http://{self.upstream.address}", region_name=region,
            aws_access_key_id="test", aws_secret_access_key="test",
        )

    def vouched_for(self, answer: bytes, algorithm: str, access_key: str, region: str) -> bytes:
        """The emulator's answer to GetWebIdentityToken, with a token as AWS makes it."""
        pages = self.functions.get_paginator("list_functions").paginate()
        functions = [function for page in pages for function in page["Functions"]]
        return self.issuer.sign_anew(answer, algorithm, web_identity.role_of(access_key, functions), region)

    def empty_version(self, secret_id: str) -> str | None:
        """The version that the emulator made with a secret and that has no value; AWS makes none."""
        try:
            current = self.secrets.get_secret_value(SecretId=secret_id)
        except self.secrets.exceptions.ResourceNotFoundException:
            return None
        return None if current.get("SecretString") else current["VersionId"]

    def made_current(self, put: dict, empty: str) -> bytes:
        """The answer to PutSecretValue for a secret's first value: AWS attaches AWSCURRENT to it, whatever stages are asked for."""
        if "AWSCURRENT" not in put["VersionStages"]:
            self.secrets.update_secret_version_stage(
                SecretId=put["ARN"], VersionStage="AWSCURRENT", MoveToVersionId=put["VersionId"], RemoveFromVersionId=empty,
            )
            put["VersionStages"].append("AWSCURRENT")
        return json.dumps(put).encode()

    def published(self, form: dict[str, str], answer: bytes, accepted_at: float) -> None:
        """Delivers what the topic accepted at `accepted_at` to its email and SMS subscribers."""
        topic = form.get("TopicArn") or form.get("TargetArn", "")
        result = ElementTree.fromstring(answer)
        accepted = {text_of(each, "Id") or "": text_of(each, "MessageId") for each in result.iter()
                    if each.tag.rpartition("}")[2] in ("member", "PublishResult") and text_of(each, "MessageId")}
        pages = self.sns(topic).get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        subscriptions = [subscription for page in pages for subscription in page["Subscriptions"]]
        for message in messages_of(form):
            if message["id"] not in accepted:
                continue
            shared = {"topic": topic, "messageId": accepted[message["id"]]}
            self.deliveries.add(protocol="published", acceptedAt=accepted_at, **shared)
            for subscription in subscriptions:
                protocol, endpoint = subscription["Protocol"], subscription["Endpoint"]
                if protocol == "email":
                    unsubscribe = f"https://sns.amazonaws.com/unsubscribe.html?SubscriptionArn={subscription['SubscriptionArn']}"
                    self.deliveries.add(
                        protocol="email", to=endpoint, **shared,
                        subject=message["Subject"] or "AWS Notification Message",
                        body=body_for("email", message) + EMAIL_FOOTER.format(unsubscribe=unsubscribe),
                    )
                elif protocol == "sms":
                    self.deliveries.add(protocol="sms", to=endpoint, **shared, body=body_for("sms", message))

    def pager(self, name: str, headers: dict[str, str], body: bytes) -> None:
        """Takes what an http subscriber is sent: confirms a subscription, keeps a notification."""
        envelope = json.loads(body)
        if envelope["Type"] == "SubscriptionConfirmation":
            self.sns(envelope["TopicArn"]).confirm_subscription(TopicArn=envelope["TopicArn"], Token=envelope["Token"])
        else:
            self.deliveries.add(
                protocol="http", to=name, topic=envelope["TopicArn"], messageId=envelope["MessageId"],
                headers=headers, body=body.decode(),
            )

    def called(self, protocol: str, name: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> None:
        """Keeps what an API destination was sent."""
        self.deliveries.add(protocol=protocol, to=name, query=query, headers=headers, body=body.decode())


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    front: Front

    def serve(self) -> None:
        if reason := refusal(self.headers.items(), {self.server.server_port}):
            # What is left of the request is not read.
            self.close_connection = True
            self.answer_json(403, {"message": reason})
            return
        body = self.read_body()
        path, _, query = self.path.partition("?")
        if path.startswith("/_local/"):
            self.serve_local(path.removeprefix("/_local/"), dict(urllib.parse.parse_qsl(query)), body)
        else:
            self.forward(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = serve

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def serve_local(self, path: str, query: dict[str, str], body: bytes) -> None:
        front = self.front
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        if (self.command, path) == ("GET", "deliveries"):
            found = front.deliveries.after(int(query.get("after", 0)), float(query.get("wait", 0)))
            self.answer_json(200, found)
        elif (self.command, path) == ("GET", "calls"):
            self.answer_json(200, front.calls.all())
        elif (self.command, path) == ("POST", "faults"):
            front.faults.add(json.loads(body))
            self.answer_json(200, {})
        elif (self.command, path) == ("DELETE", "faults"):
            front.faults.clear()
            self.answer_json(200, {})
        elif self.command == "POST" and path.startswith("pager/"):
            front.pager(path.removeprefix("pager/"), headers, body)
            self.answer_json(200, {})
        elif (self.command, path) == ("POST", "pagerduty"):
            front.called("pagerduty", "pagerduty", query, headers, body)
            self.answer_json(202, {"status": "success", "message": "Event processed"})
        elif self.command == "POST" and path.startswith("webhook/"):
            front.called("webhook", path.removeprefix("webhook/"), query, headers, body)
            self.answer_json(200, {})
        elif self.command == "GET" and path.startswith("issuer/"):
            document = front.issuer.document(path.removeprefix("issuer/"))
            self.answer_json(200 if document else 404, document or {"message": "no such thing here"})
        else:
            self.answer_json(404, {"message": "no such thing here"})

    def forward(self, body: bytes) -> None:
        front = self.front
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        # The host is part of what a caller has signed.
        headers["Host"] = self.headers.get("Host", "")
        if api := API_HOST.fullmatch(headers["Host"]):
            headers["Host"] = f"{api['api']}.execute-api.localhost"
        headers["Content-Length"] = str(len(body))

        signed = CREDENTIAL.search(self.headers.get("Authorization", ""))
        service = signed["service"] if signed else "execute-api" if api else ""
        text = body.decode("utf-8", "replace") if service in faults.QUERY_SERVICES else ""
        form = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
        action = form.get("Action") or self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if signed:
            front.calls.add(signed["key"], service, action, form, body)
        fault = front.faults.hit(service, action, signed["region"] if signed else "")
        if fault and fault["mode"] not in faults.EFFECTIVE:
            self.strike(fault, service, signed["key"] if signed else "")
            return
        empty = front.empty_version(json.loads(body)["SecretId"]) if action == "PutSecretValue" else None
        status, answered, answer = front.upstream.send(self.command, self.path, headers, body)
        accepted_at = time.time()
        if status == 200 and empty:
            answer = front.made_current(json.loads(answer), empty)
        if fault and fault["mode"] == "late":
            time.sleep(fault["hangSeconds"])
        elif fault:
            self.strike(fault, service, signed["key"] if signed else "")
            if status == 200 and action in ("Publish", "PublishBatch"):
                front.published(form, answer, accepted_at)
            return
        if status == 200 and action == "GetSecretValue" and json.loads(answer).get("SecretString") == "":
            self.answer_json(400, {
                "__type": "ResourceNotFoundException",
                "Message": "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
            })
            return
        if status == 200 and signed and action == "GetWebIdentityToken":
            answer = front.vouched_for(answer, form["SigningAlgorithm"], signed["key"], signed["region"])
        self.answer(status, answered, answer)
        # Only now, so that the publisher does not wait for it.
        if status == 200 and action in ("Publish", "PublishBatch"):
            front.published(form, answer, accepted_at)

    def strike(self, fault: dict, service: str, access_key: str) -> None:
        """Gives the caller what the fault has for it."""
        if fault["mode"] in ("killed", "killedAfter"):
            faults.kill_callers(self.front.address, access_key)
        if fault["mode"] in ("down", "lost", "killed", "killedAfter"):
            self.reset()
        elif fault["mode"] == "slow":
            time.sleep(fault.get("hangSeconds", 10))
            self.close_connection = True
        else:
            status, kind, body = faults.answer(service, fault)
            self.answer(status, [("Content-Type", kind)], body)

    def reset(self) -> None:
        """Ends the connection in the middle, as a machine that goes down does: with a reset, without a farewell."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def answer_json(self, status: int, value: object) -> None:
        self.answer(status, [("Content-Type", "application/json")], json.dumps(value).encode())

    def answer(self, status: int, headers: list, body: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP | {"date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            # The caller has given up.
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        # As the real gateway's access log is told to: no query string.
        line = re.sub(r"\?\S*", "?...", format % args)
        sys.stderr.write(f"{self.command} {self.headers.get('Host', '')} {line}\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # The functions' clients open several connections at once.
    request_queue_size = 64


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--upstream", required=True, help="HOST:PORT of the emulator")
    given = arguments.parse_args()
    server = Server(("127.0.0.1", given.port), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    Handler.front = Front(Upstream(given.upstream), address)
    # shutdown() waits for the serving thread, which is the one that signals interrupt.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(json.dumps({"listening": address}), flush=True)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
