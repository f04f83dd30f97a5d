"""A running local stack, as the demonstration and the end-to-end tests use it: dial, invoke, look at what arrived.

Runs in the environment with boto3 (`requirements-client.txt`).
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request

import boto3

QUEUES = ("alerts", "tests", "chat", "events")
ROOT_CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


class System:
    """What a stack's description says, and the clients for it."""

    def __init__(self, description: dict) -> None:
        self.description = description
        self.outputs: dict[str, str] = description["outputs"]
        self.resources: dict[str, str] = description["resources"]
        # Everything that the renewer said, in its own words.
        self.reports: list[str] = []

    def client(self, service: str, region: str | None = None):
        """A client of the emulator itself, past the proxy and its faults, in the stack's Region or another."""
        region = region or self.description["region"]
        return boto3.client(service, endpoint_url=self.description["emulator"], region_name=region, **ROOT_CREDENTIALS)

    # The Graph simulator

    def control(self, function: str, **body: object) -> dict:
        """Calls a control function of the Graph simulator."""
        return call("POST", f"{self.description['simulator']}/_control/{function}", body)

    def inspect(self, what: str) -> list | dict:
        return call("GET", f"{self.description['simulator']}/_control/{what}")

    def dial(self, number: str, policy: str = "Global", **more: object) -> dict:
        """Makes an emergency call; returns when the notification's first attempt was answered."""
        return self.control("dial", number=number, policy=policy, **more)

    # The functions

    def renew(self, event: dict | None = None) -> dict:
        """Runs the renewer and returns its report."""
        name = self.outputs["RenewerFunctionName"]
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event or {"action": "reconcile"}))
        text = answer["Payload"].read().decode()
        self.reports.append(text)
        payload = json.loads(text)
        if "FunctionError" in answer:
            raise RuntimeError(f"the renewer failed: {json.dumps(payload)}")
        return payload

    def notify(self, body: bytes, query: str = "", method: str = "POST", content_type: str = "application/json") -> tuple[int, dict, bytes]:
        """Sends a request to the public notification URL; returns status, headers and body of the answer."""
        url = self.outputs["NotificationUrl"]
        host, _, path = url.removeprefix("https://").partition("/")
        request = urllib.request.Request(
            f"{self.description['front']}/{path}{query}", data=body, method=method, headers={"Host": host, "Content-Type": content_type}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, dict(refused.headers), refused.read()

    # What arrived

    def deliveries(self, after: int = 0, wait: float = 0) -> list[dict]:
        """What people and pagers got, beginning behind the delivery with that number."""
        return call("GET", f"{self.description['front']}/_local/deliveries?after={after}&wait={wait}")

    def receive(self, queue: str, wait: int = 0) -> list[dict]:
        """Takes messages off one of the queues `alerts`, `tests`, `chat` and `events`; waits so many seconds for a first one."""
        sqs, address = self.client("sqs"), self.description["queues"][queue]
        found = sqs.receive_message(QueueUrl=address, MaxNumberOfMessages=10, WaitTimeSeconds=wait).get("Messages", [])
        for each in found:
            sqs.delete_message(QueueUrl=address, ReceiptHandle=each["ReceiptHandle"])
        return [json.loads(each["Body"]) for each in found]

    def calls(self) -> list[dict]:
        """Which calls of AWS went through the proxy: by which access key, the action, the resource, and the kind of items."""
        return call("GET", f"{self.description['front']}/_local/calls")

    # Outages

    def fault(self, service: str, **how: object) -> None:
        """Puts a service out of order for the functions: `mode="throttling"`, or as `faults.py` has it; `times=1` for one call only."""
        call("POST", f"{self.description['front']}/_local/faults", {"service": service, **how})

    def repair(self) -> None:
        """Puts everything in order again, on both sides."""
        call("DELETE", f"{self.description['front']}/_local/faults")
        call("DELETE", f"{self.description['simulator']}/_control/faults")


class Watch:
    """Gathers everything that arrives anywhere, in the background, until it is left."""

    def __init__(self, system: System, arrived=lambda delivery: None) -> None:
        self._system = system
        self._arrived = arrived
        self._items: list[dict] = []
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._last = max((each["number"] for each in system.deliveries()), default=0)
        self._threads = [threading.Thread(target=self._people, daemon=True)]
        for queue in QUEUES:
            self._threads.append(threading.Thread(target=self._machines, args=(queue,), daemon=True))

    def __enter__(self) -> Watch:
        for queue in QUEUES:
            while self._system.receive(queue):
                pass
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _people(self) -> None:
        while not self._over.is_set():
            for delivery in self._system.deliveries(self._last, wait=1):
                self._last = delivery["number"]
                self._add(delivery)

    def _machines(self, queue: str) -> None:
        while not self._over.is_set():
            for message in self._system.receive(queue, wait=1):
                if queue == "events":
                    self._add({"protocol": "event", "message": message, "at": time.time()})
                else:
                    protocol = "chat" if queue == "chat" else "sqs"
                    self._add({"protocol": protocol, "topic": message["TopicArn"], "message": message, "at": time.time()})

    def _add(self, item: dict) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()
        self._arrived(item)

    def wait_for(self, wanted, count: int = 1, seconds: float = 20) -> list[dict]:
        """The items that are wanted, as soon as there are so many; fails with what did arrive."""

        def found() -> list[dict]:
            return [item for item in self._items if wanted(item)]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, timeout=seconds):
                kinds = [f"{item['protocol']} {item.get('topic', '').rpartition(':')[2]}" for item in self._items]
                raise TimeoutError(f"{len(found())} of {count} arrived within {seconds} s; all that arrived: {kinds}")
            return found()

    def items(self) -> list[dict]:
        with self._changed:
            return list(self._items)


def call(method: str, url: str, body: object = None) -> object:
    """A JSON request and its answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
    except urllib.error.HTTPError as refused:
        raise RuntimeError(f"{method} {url} was answered with {refused.code}: {refused.read().decode(errors='replace')}") from None
    return json.loads(text) if text else {}
