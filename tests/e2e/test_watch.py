"""The action `monitor` on the deployed stack: its probe goes through the gateway and is read by the receiver, or is missed."""

from __future__ import annotations

import json

import leaks
import pytest
from dialling import handshake, make_cold
from processes import until


def metrics(system, name: str) -> list[dict]:
    """The lines with this metric that the functions have printed."""
    lines = [line for line in leaks.logged(system).splitlines() if f'"{name}"' in line]
    return [found for found in map(embedded, lines) if found and name in found]


def embedded(line: str) -> dict | None:
    """The line of metrics, which the emulator may wrap."""
    try:
        found = json.loads(line[line.index("{"):])
    except ValueError:
        return None
    return found if "_aws" in found else None


def comes(system, name: str, beyond: int) -> bool:
    """Whether more lines with this metric come than there were."""

    def more() -> bool:
        return len(metrics(system, name)) > beyond

    if until(more, 5):
        return True
    handshake(system)
    return until(more, 15)


def watch_it(system) -> dict:
    return system.renew({"action": "monitor"})


@pytest.fixture
def keyring(system):
    """The keyring's text; afterwards it is as it was."""
    manager, secret = system.client("secretsmanager"), system.resources["Keyring"]
    text = manager.get_secret_value(SecretId=secret)["SecretString"]
    yield text
    manager.put_secret_value(SecretId=secret, SecretString=text)
    make_cold(system)


def test_the_probe_passes_the_gateway_and_is_read(system):
    # After a rotation a receiver reads the new key within five minutes, and no sooner for a probe.
    make_cold(system)
    read, looked = len(metrics(system, "ProbesReceived")), len(metrics(system, "WatchRuns"))

    report = watch_it(system)

    assert report["ok"] and report["probeAnswered"], report
    assert comes(system, "ProbesReceived", read), "the receiver counted no probe"
    assert comes(system, "WatchRuns", looked)
    assert {each["policyName"] for each in report["subscriptions"]} == {"Global", "Warehouse"}
    assert all(each["secondsRemaining"] > 0 for each in report["subscriptions"])
    assert {each["topic"] for each in report["topics"]} == {"AlertTopic", "TestTopic", "OperationsTopic", "ChatTopic"}
    assert report["reconcileOverdueSeconds"] == 0


def test_a_receiver_whose_keyring_is_spoilt_answers_alike_and_is_missed(system, keyring):
    manager, secret = system.client("secretsmanager"), system.resources["Keyring"]
    before = len(metrics(system, "ProbesRejected"))
    manager.put_secret_value(SecretId=secret, SecretString=json.dumps({**json.loads(keyring), "keys": []}))
    make_cold(system)
    status, _, body = system.notify(b'{"probe":{}}')
    assert (status, body) == (202, b"")
    # For the receiver it stays as it is: what it has read serves it for five minutes.
    manager.put_secret_value(SecretId=secret, SecretString=keyring)
    assert comes(system, "ProbesRejected", before)
    read, rejected = len(metrics(system, "ProbesReceived")), len(metrics(system, "ProbesRejected"))

    report = watch_it(system)

    assert report["probeAnswered"], "nobody outside can tell"
    assert comes(system, "ProbesRejected", rejected)
    assert len(metrics(system, "ProbesReceived")) == read


def test_an_address_out_of_order_is_noticed(system):
    functions, name = system.client("lambda"), system.outputs["ReceiverFunctionName"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        assert not watch_it(system)["probeAnswered"]
    finally:
        functions.delete_function_concurrency(FunctionName=name)
    assert watch_it(system)["probeAnswered"]


def test_a_lost_subscription_is_made_anew_at_once_whatever_the_list_says(system):
    before = {each["policy"]: each["id"] for each in system.inspect("subscriptions")}
    system.control("settings", lists="stale")
    try:
        system.control("remove-subscription", policy="Warehouse")
        # The schedule's own pass may come first.
        report = watch_it(system)
    finally:
        system.control("settings", lists="true")

    assert report["askedFor"] == 2 and all(each["secondsRemaining"] > 0 for each in report["subscriptions"])
    after = {each["policy"]: each["id"] for each in system.inspect("subscriptions")}
    assert after["Global"] == before["Global"] and after["Warehouse"] != before["Warehouse"]


def test_a_run_and_a_call_are_noted(system):
    system.dial("933")
    system.renew()

    report = watch_it(system)

    items = system.client("dynamodb").scan(TableName=system.resources["StateTable"])["Items"]
    keys = {(each["pk"]["S"], each["sk"]["S"]): each for each in items}
    latest = keys["alert#latest", "notification"]
    assert set(latest) == {"pk", "sk", "at", "expiresAt"}, "a mere time"
    assert set(keys["watch", "reconcile"]) == {"pk", "sk", "at"}
    assert set(keys["watch", "notes"]) == {"pk", "sk", "since", "confirmed", "troubles"}
    assert report["daysSinceNotification"] == 0
