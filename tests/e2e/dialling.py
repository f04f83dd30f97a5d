"""Emergency calls from the dialling to the last retry, as tests follow them."""

from __future__ import annotations

import contextlib
import json
import math
from datetime import datetime


def alerts_in(system, queue: str) -> list[dict]:
    """The alert documents in a queue now. A publication is in its queues before the notification is answered."""
    documents = []
    while messages := system.receive(queue):
        documents += [json.loads(message["Message"]) for message in messages]
    return documents


def now(system) -> datetime:
    """The time in which Graph lives."""
    return datetime.fromisoformat(system.inspect("clock")["now"])


def next_attempt(system, call_id: str) -> dict:
    """Moves Graph's clock to the call's next delivery attempt; gives the report when that was answered."""
    delivery = system.inspect(f"calls/{call_id}")["deliveries"][0]
    wait = (datetime.fromisoformat(delivery["nextAttemptAt"]) - now(system)).total_seconds()
    system.control("clock", seconds=max(0, math.ceil(wait)))
    return system.inspect(f"calls/{call_id}")


def retry(system, call_id: str) -> dict:
    """Moves Graph's clock to the call's next delivery attempt, and waits until nothing is left to be delivered."""
    next_attempt(system, call_id)
    return system.inspect(f"calls/{call_id}?wait=settled")


def make_cold(system) -> None:
    """Makes the receiver's next invocation a new process, as a change of its configuration does on AWS."""
    client = system.client("lambda")
    name = system.outputs["ReceiverFunctionName"]
    environment = client.get_function_configuration(FunctionName=name)["Environment"]
    client.update_function_configuration(FunctionName=name, Environment=environment)


def handshake(system) -> None:
    """Has the receiver invoked for nothing, if it can be: lines that it printed last may get into its log only then."""
    with contextlib.suppress(OSError):
        system.notify(b"", "?validationToken=next")
