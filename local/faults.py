"""What goes wrong on demand between the functions and AWS, in the shapes in which AWS has it go wrong.

A fault strikes the calls of one `service`, or of one of its actions (`action`) or Regions (`region`), as often as its `times` says, or
until all faults are cleared. Its `mode` says what happens:

    down          the connection is reset before anything is done
    refusing      the service's answer to who may not
    throttling    the service's answer to who asks too often
    failing       the service's answer when it is out of order: `status` (500), for sns and sts also with a `code`
    slow          neither an answer nor an effect, for `hangSeconds` (10)
    garbage       status 200, and a text that is no answer at all
    wrong         status 200, and the `body` that is given: well-formed, but not what was asked for
    late          it is done, and answered after `hangSeconds`
    lost          it is done, and the connection is reset without an answer
    killed        the calling process is killed before anything is done
    killedAfter   it is done, and the calling process is killed before it learns of that

Without a mode a fault with `hangSeconds` is slow, and any other failing. A number of `times` makes a service recover by itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from typing import NamedTuple

# In these modes the service does what it was asked to.
EFFECTIVE = {"late", "lost", "killedAfter"}
MODES = {"down", "refusing", "throttling", "failing", "slow", "garbage", "wrong", "killed", *EFFECTIVE}

QUERY_SERVICES = {"sns", "sts"}
QUERY_NAMESPACES = {"sns": "http://sns.amazonaws.com/doc/2010-03-31/", "sts": "https://sts.amazonaws.com/doc/2011-06-15/"}


class Refusal(NamedTuple):
    """An error of a service: its HTTP status and its name."""

    status: int
    code: str


# As the services' API references and their error answers have them; what is in no list of its own is `any`.
REFUSALS = {
    "refusing": {
        "sns": Refusal(403, "AuthorizationError"),
        "sts": Refusal(403, "AccessDenied"),
        "dynamodb": Refusal(400, "com.amazon.coral.service#AccessDeniedException"),
        "execute-api": Refusal(403, "Forbidden"),
        "any": Refusal(400, "AccessDeniedException"),
    },
    "throttling": {
        "sns": Refusal(400, "Throttling"),
        "sts": Refusal(400, "Throttling"),
        "dynamodb": Refusal(400, "com.amazon.coral.availability#ThrottlingException"),
        "execute-api": Refusal(429, "Too Many Requests"),
        "any": Refusal(400, "ThrottlingException"),
    },
    "failing": {
        "sns": Refusal(500, "InternalError"),
        "sts": Refusal(500, "InternalFailure"),
        "dynamodb": Refusal(500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
        "secretsmanager": Refusal(500, "InternalServiceError"),
        "events": Refusal(500, "InternalException"),
        "execute-api": Refusal(500, "Internal Server Error"),
        "any": Refusal(500, "InternalFailure"),
    },
}


class Faults:
    """Which services are out of order, and how."""

    def __init__(self) -> None:
        self._faults: list[dict] = []
        self._lock = threading.Lock()

    def add(self, fault: dict) -> None:
        mode = fault.get("mode") or ("slow" if "hangSeconds" in fault else "failing")
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode!r}")
        with self._lock:
            self._faults.append({**fault, "mode": mode})

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def hit(self, service: str, action: str, region: str = "") -> dict | None:
        """The fault that this call meets, counted down if it has a number of `times`."""
        with self._lock:
            for fault in self._faults:
                called = {"service": service, "action": action, "region": region}
                if any(fault.get(name, value) != value for name, value in called.items()):
                    continue
                if "times" in fault:
                    fault["times"] -= 1
                    if fault["times"] <= 0:
                        self._faults.remove(fault)
                return fault
        return None


def answer(service: str, fault: dict) -> tuple[int, str, bytes]:
    """What the service answers under this fault: status, content type and body."""
    if fault["mode"] in ("garbage", "wrong"):
        body = "<html>It works!</html>" if fault["mode"] == "garbage" else fault["body"]
        kind = "text/xml" if service in QUERY_SERVICES else "application/json"
        return 200, kind, (body if isinstance(body, str) else json.dumps(body)).encode()
    refusals = REFUSALS[fault["mode"]]
    usual = refusals.get(service, refusals["any"])
    status, code = fault.get("status", usual.status), fault.get("code", usual.code)
    if service in QUERY_SERVICES:
        who = "Receiver" if status >= 500 else "Sender"
        text = (
            f'<ErrorResponse xmlns="{QUERY_NAMESPACES[service]}"><Error><Type>{who}</Type><Code>{code}</Code>'
            "<Message>out of order</Message></Error><RequestId>0</RequestId></ErrorResponse>"
        )
        return status, "text/xml", text.encode()
    if service == "execute-api":
        return status, "application/json", json.dumps({"message": code}).encode()
    # The services disagree on the capital letter.
    return status, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": "out of order", "Message": "out of order"}).encode()


def processes_with(**environment: str) -> list[int]:
    """The ids of the processes that have these environment variables."""
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    wanted = {f"{name}={value}" for name, value in environment.items()}
    return [int(words[0]) for words in map(str.split, listed.splitlines()) if wanted <= {*words}]


def kill_callers(endpoint: str, access_key: str) -> None:
    """Kills the processes that call this endpoint with this access key. Every function has a key of its own."""
    for pid in processes_with(AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID=access_key):
        os.kill(pid, signal.SIGKILL)
