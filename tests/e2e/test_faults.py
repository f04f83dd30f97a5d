"""The fault matrix on the deployed stack: each row of `fault_rows.py` happens, and what it says is what comes of it.

Over all rows: no authentic call is lost once the fault has ended and Graph has retried, no forged one alerts, and a fault that
changes anything moves a metric that has an alarm.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from datetime import datetime

import alarms_raised
import pytest
from dialling import alerts_in, make_cold, next_attempt, now, retry
from fault_rows import ROWS, Call, Run
from processes import until

import faults

# The functions' metrics that speak of something unusual.
TELLING = {
    "AlertsDegraded", "AlertsNotPublished", "AlertsUnverified", "CallEventsNotPut", "KeyringFailures",
    "LifecycleEventsNotPut", "NotificationsUndecided", "Problems", "RejectedWithClientState", "RejectedWithToken",
    "RenewalFailures", "StateTableFailures", "SubscriptionsLost",
}
# Past the time over which Graph judges an endpoint.
JUDGED_AGAIN = 601
# A subscription's token lasts an hour of Graph's time, and the rows take some.
RENEW_AFTER = 1200


class Forgeries:
    """Forged notifications of a call that the receiver does not know, of which the genuine one alerts."""

    def __init__(self, system) -> None:
        call = system.dial("911", caller={"displayName": "Nobody", "phoneNumber": "14255550111"})["callId"]
        [genuine] = [delivery["body"] for delivery in system.inspect("deliveries") if call in delivery["callIds"]]
        for _ in range(2):
            assert [alert["callId"] for alert in alerts_in(system, "alerts")] == [call]
            forget(system)
            system.notify(json.dumps(genuine).encode())
        alerts_in(system, "alerts")
        forget(system)
        stranger, thief = json.loads(json.dumps(genuine)), json.loads(json.dumps(genuine))
        stranger["value"][0]["clientState"] = "guessed"
        # Whoever knows the client state still cannot sign.
        [token] = thief["validationTokens"]
        signed, _, signature = token.rpartition(".")
        thief["validationTokens"] = [f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"]
        self._system = system
        self._bodies = [json.dumps(each).encode() for each in (stranger, thief)]

    def send(self) -> set[int | None]:
        """Sends all of them; gives the statuses of the answers, None for no answer."""
        return {self._send(body) for body in self._bodies}

    def _send(self, body: bytes) -> int | None:
        try:
            return self._system.notify(body)[0]
        except OSError:
            return None


@pytest.fixture(scope="module", autouse=True)
def nobody_else(deployed):
    """No run by schedule gets into the way of a row: it might meet the fault in the row's place."""
    switch_schedules(deployed, "DISABLED")
    yield
    switch_schedules(deployed, "ENABLED")


def switch_schedules(system, state: str) -> None:
    scheduler = system.client("scheduler")
    kept = {"Name", "GroupName", "Description", "ScheduleExpression", "FlexibleTimeWindow", "Target"}
    for each in scheduler.list_schedules()["Schedules"]:
        found = scheduler.get_schedule(Name=each["Name"], GroupName=each["GroupName"])
        scheduler.update_schedule(**{name: found[name] for name in kept & found.keys()}, State=state)


@pytest.fixture(scope="module")
def made() -> list[Forgeries]:
    """The forgeries at hand, none if they must be made anew."""
    return []


@pytest.fixture
def forgeries(settled, made) -> Forgeries:
    if not made:
        made.append(Forgeries(settled))
    return made[0]


def forget(system) -> None:
    """Empties the receiver's memory of what it published."""
    table, name = system.client("dynamodb"), system.resources["StateTable"]
    for item in table.scan(TableName=name)["Items"]:
        if item["pk"]["S"].startswith("alert#"):
            table.delete_item(TableName=name, Key={"pk": item["pk"], "sk": item["sk"]})


@pytest.fixture
def settled(system):
    """The system with subscriptions that were renewed lately, as Graph sees it, and nothing left to be delivered."""
    renewed = min(datetime.fromisoformat(each["deliveryTokenIssuedDateTime"]) for each in system.inspect("subscriptions"))
    if (now(system) - renewed).total_seconds() > RENEW_AFTER:
        system.renew()
    while pending := [each["nextAttemptAt"] for each in system.inspect("deliveries") if each["state"] == "pending"]:
        wait = (datetime.fromisoformat(min(pending)) - now(system)).total_seconds()
        system.control("clock", seconds=max(0, math.ceil(wait)))
    alerts_in(system, "alerts")
    return system


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row, Call)], ids=lambda row: row.id)
def test_a_call_while_something_fails(settled, forgeries, made, row):
    system = settled
    if row.new_signing_key:
        system.control("rotate-signing-keys", replace=True)
    if row.cold:
        make_cold(system)
    log = alarms_raised.Log(system, "Receiver")
    killer = strike(system, row)

    reports = dial(system, row)
    call_ids = [report["callId"] for report in reports]
    killer.join()

    # While the fault lasts.
    seen = {call_id: [] for call_id in call_ids}
    for _ in row.answers[1:]:
        reports[0] = next_attempt(system, call_ids[0])
    gather(system, seen)
    assert [kind_of(attempt) for attempt in reports[0]["attempts"]] == [*row.answers]
    for documents in seen.values():
        assert len(documents) in row.alerts
        assert {(each["verified"], each["degraded"]) for each in documents} <= {(row.verified, False)}
    metrics = log.metrics(TELLING, row.metrics)
    assert metrics.keys() == row.metrics.keys() and all(metrics[name] >= row.metrics[name] for name in metrics), metrics
    assert alarms_raised.raised_by_calls(metrics, reports[0]["attempts"]) == {*row.alarms}
    forgeries.send()

    # When it has ended.
    system.repair()
    settle(system, call_ids[0])
    gather(system, seen)
    for documents in seen.values():
        assert len(documents) in row.total
    already = {call_id: len(documents) for call_id, documents in seen.items()}
    assert system.control("redeliver", callId=call_ids[0], wait=True)["attempts"][-1]["status"] == 202
    gather(system, seen)
    assert len(seen[call_ids[0]]) - already[call_ids[0]] in row.again
    assert forgeries.send() == {202}
    gather(system, seen)
    if row.new_signing_key:
        # With the keys that the forgeries name.
        made.clear()
        system.renew()
    if "timedOut" in row.answers:
        system.control("clock", seconds=JUDGED_AGAIN)


@pytest.mark.parametrize("row", [row for row in ROWS if isinstance(row, Run)], ids=lambda row: row.id)
def test_a_run_while_something_fails(settled, row):
    system = settled
    if row.before == "lost":
        system.control("remove-subscription", policy="Warehouse")
    if row.before == "late":
        system.control("clock", seconds=3 * 3600)
    log = alarms_raised.Log(system, "Renewer")
    strike(system, row).join()

    payload, failed = invoke(system, row.action)

    # While the fault lasts.
    assert (payload["errorType"] if failed else "ok" if payload["ok"] else "problems") == row.ends, payload
    assert len(system.inspect("subscriptions")) == row.subscribed
    metrics = log.metrics(TELLING, row.metrics)
    assert metrics.keys() == row.metrics.keys() and all(metrics[name] >= row.metrics[name] for name in metrics), metrics
    assert alarms_raised.raised_by_run({**metrics, **log.least("SubscriptionSecondsRemaining")}, failed) == {*row.alarms}

    # When it has ended: calls alert, and the next run leaves everything in order.
    system.repair()
    call = system.dial("911")
    assert [attempt["status"] for attempt in call["attempts"]] == [202]
    assert [alert["callId"] for alert in alerts_in(system, "alerts")] == [call["callId"]]
    let_lease_end(system)
    payload, failed = invoke(system, "reconcile")
    assert (payload["ok"], failed) == (True, False), payload
    assert sorted(each["policy"] for each in system.inspect("subscriptions")) == ["Global", "Warehouse"]


def invoke(system, action: str) -> tuple[dict, bool]:
    """What the renewer answers, and whether that is an error."""
    name = system.outputs["RenewerFunctionName"]
    answer = system.client("lambda").invoke(FunctionName=name, Payload=json.dumps({"action": action}))
    return json.loads(answer["Payload"].read()), "FunctionError" in answer


def let_lease_end(system) -> None:
    """A run that could not give its lease back leaves it to end by itself, after the time that a run may take."""
    system.client("dynamodb").delete_item(
        TableName=system.resources["StateTable"], Key={"pk": {"S": "lease"}, "sk": {"S": "reconcile"}}
    )


def strike(system, row) -> threading.Thread:
    """Puts the row's faults into the proxy and the simulator. The thread kills a process as soon as its fault has been met."""
    for fault in row.faults:
        if "service" in fault:
            system.fault(**fault)
        elif "operation" in fault:
            system.control("faults", **fault)
    doomed = [fault["kill"] for fault in row.faults if "kill" in fault]
    expected = [fault for fault in row.faults if "operation" in fault]

    def kill() -> None:
        for function in doomed:
            until(lambda: all(each["times"] == 0 for each in system.inspect("faults")), 30)
            name = system.outputs[f"{function.title()}FunctionName"]
            for pid in faults.processes_with(AWS_ENDPOINT_URL=system.description["front"], AWS_LAMBDA_FUNCTION_NAME=name):
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    if not expected:
        thread.join()
    return thread


def dial(system, row) -> list[dict]:
    """The reports of the row's calls, when Graph's first attempt was answered."""
    if row.calls == 1:
        return [system.dial("911")]
    return system.control("dial-together", calls=[{"number": "911"}] * row.calls, wait=True)


def kind_of(attempt: dict) -> object:
    """How an attempt ended: its status, `5xx` where AWS answers for the function, or why there is none."""
    if attempt["status"] is None:
        return attempt["outcome"]
    # The real gateway answers 500 for a function that has crashed, and this one 502. Our own is 503.
    return "5xx" if attempt["status"] in (500, 502) else attempt["status"]


def gather(system, seen: dict[str, list[dict]]) -> None:
    """Sorts what the subscribers of AlertTopic got by its call. Nothing else may come."""
    for alert in alerts_in(system, "alerts"):
        assert alert["callId"] in seen, f"an alert that nobody expects: {alert['callId']}"
        seen[alert["callId"]].append(alert)


def settle(system, call_id: str) -> None:
    """Lets Graph retry until the call was delivered, which must be in its second attempt after the fault at the latest."""
    for _ in range(2):
        report = system.inspect(f"calls/{call_id}")
        if report["deliveries"][0]["state"] == "delivered":
            return
        retry(system, call_id)
    assert system.inspect(f"calls/{call_id}")["deliveries"][0]["state"] == "delivered"
