"""The fault matrix on the deployed stack: each row of `fault_rows.py` happens, and what it says is what comes of it.

Over all rows: no authentic call that Graph reports is lost once the fault has ended and Graph has retried, none is answered too late,
no forged one alerts, and a fault that changes anything moves a metric that has an alarm.
"""

from __future__ import annotations

import base64
import json
import math
import os
import signal
import threading
from datetime import datetime

import alarms_raised
import pytest
from dialling import alerts_in, handshake, make_cold, next_attempt, now, retry
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
        [token] = genuine["validationTokens"]
        bodies = [
            # Who has neither proof: no token at all, one that somebody else signed, or one of a key that nobody knows.
            {name: value for name, value in with_client_state(genuine, "guessed").items() if name != "validationTokens"},
            {**with_client_state(genuine, "guessed"), "validationTokens": [with_another_signature(token)]},
            {**with_client_state(genuine, None), "validationTokens": [with_another_signature(token)]},
            {**with_client_state(genuine, "guessed"), "validationTokens": [with_another_key(token)]},
        ]
        self._system = system
        self._bodies = [json.dumps(each).encode() for each in bodies]

    def send(self) -> set[int | None]:
        """Sends all of them; gives the statuses of the answers, None for no answer."""
        return {self._send(body) for body in self._bodies}

    def _send(self, body: bytes) -> int | None:
        try:
            return self._system.notify(body)[0]
        except OSError:
            return None


def with_client_state(body: dict, client_state: str | None) -> dict:
    return {**body, "value": [{**item, "clientState": client_state} for item in body["value"]]}


def with_another_signature(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def with_another_key(token: str) -> str:
    header, _, rest = token.partition(".")
    named = {**json.loads(base64.urlsafe_b64decode(header + "==")), "kid": "invented"}
    return f"{base64.urlsafe_b64encode(json.dumps(named).encode()).decode().rstrip('=')}.{rest}"


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
        # Of unverified alerts the sixth in ten minutes would wait for others.
        forget(system)
    if row.cold:
        make_cold(system)
    log = alarms_raised.Log(system, "Receiver")
    killer = Killer(system, row)
    strike(system, row)

    with killer:
        reports = dial(system, row)
    call_ids = [report["callId"] for report in reports]

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
    if row.silence:
        assert raised_by_silence(system) == {*row.silence}
    # Forgeries meet what the call met, however often it strikes.
    if row.cold:
        make_cold(system)
    strike(system, row)
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
    assert count_late(system, call_ids) == row.answers.count("timedOut") * len(call_ids)
    if row.silence:
        assert raised_by_silence(system) == set()
    if row.new_signing_key:
        # That Entra cannot be asked is remembered for some seconds.
        make_cold(system)
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
    strike(system, row)

    payload, failed = invoke(system, row.action)

    # While the fault lasts.
    assert (payload["errorType"] if failed else "ok" if payload["ok"] else "problems") == row.ends, payload
    assert len(system.inspect("subscriptions")) == row.subscribed
    metrics = log.metrics(TELLING, row.metrics)
    assert metrics.keys() == row.metrics.keys() and all(metrics[name] >= row.metrics[name] for name in metrics), metrics
    assert alarms_raised.raised_by_run({**metrics, **log.least("SubscriptionSecondsRemaining")}, failed) == {*row.alarms}
    assert len(alerts_in(system, "tests")) == row.drills
    if row.subscribed < 2:
        # What Graph reports to nobody, nobody can tell.
        assert system.dial("911", "Warehouse")["deliveries"] == []

    # When it has ended: calls alert, and the next run leaves everything in order.
    system.repair()
    assert alerts_for(system, "Global")
    let_lease_end(system)
    payload, failed = invoke(system, "reconcile")
    assert (payload["ok"], failed) == (True, False), payload
    assert sorted(each["policy"] for each in system.inspect("subscriptions")) == ["Global", "Warehouse"]
    assert alerts_for(system, "Warehouse")


def alerts_for(system, policy: str) -> bool:
    """Whether a call under this policy is delivered at once and raises its alert, and no other."""
    call = system.dial("911", policy)
    delivered = [attempt["status"] for attempt in call["attempts"]] == [202]
    return delivered and [alert["callId"] for alert in alerts_in(system, "alerts")] == [call["callId"]]


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


def strike(system, row) -> None:
    """Puts the row's faults into the proxy and the simulator."""
    for fault in row.faults:
        if "service" in fault:
            system.fault(**fault)
        elif "operation" in fault:
            system.control("faults", **fault)


class Killer:
    """Kills the processes of the functions that a row dooms: at once, or in the block as soon as the row's fault has been met."""

    def __init__(self, system, row) -> None:
        self._system = system
        self._doomed = [fault["kill"] for fault in row.faults if "kill" in fault]
        self._thread = threading.Thread(target=self._when_met) if any("operation" in fault for fault in row.faults) else None
        self._killed = 0
        if self._doomed and not self._thread:
            # So that there is a process.
            handshake(system)
            self._kill()

    def __enter__(self) -> None:
        if self._thread and self._doomed:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._thread and self._doomed:
            self._thread.join()
        assert self._killed >= len(self._doomed), "there was no process to kill"

    def _when_met(self) -> None:
        if until(lambda: all(each["times"] == 0 for each in self._system.inspect("faults")), 30):
            self._kill()

    def _kill(self) -> None:
        for function in self._doomed:
            name = self._system.outputs[f"{function.title()}FunctionName"]
            doomed = faults.processes_with(AWS_ENDPOINT_URL=self._system.description["front"], AWS_LAMBDA_FUNCTION_NAME=name)
            for pid in doomed:
                os.kill(pid, signal.SIGKILL)
            self._killed += bool(doomed)


def raised_by_silence(system) -> set[str]:
    """The alarms that ring if what a pass of the monitor finds now goes on."""
    renewer, receiver = (alarms_raised.Log(system, function) for function in ("Renewer", "Receiver"))
    invoke(system, "monitor")
    until(lambda: renewer.least("WatchRuns"), 15)
    answered = renewer.least("ProbesAnswered")
    received = receiver.metrics({"ProbesReceived"}, {"ProbesReceived": 1} if answered.get("ProbesAnswered") else {})
    return alarms_raised.raised_by_silence({**answered, **received})


def count_late(system, call_ids: list[str]) -> int:
    """How many of Graph's attempts for these calls were not answered in its time."""
    reports = [system.inspect(f"calls/{call_id}") for call_id in call_ids]
    return sum(attempt["outcome"] == "timedOut" for report in reports for attempt in report["attempts"])


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
