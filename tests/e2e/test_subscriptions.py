"""The subscriptions at Graph: made, kept, and made again."""

from __future__ import annotations

import json
from pathlib import Path

from processes import until

EVENTS = Path(__file__).resolve().parents[2] / "events"


def schedules(system) -> dict[str, dict]:
    """The schedules by their expressions."""
    scheduler = system.client("scheduler")
    all_of_them = [
        scheduler.get_schedule(Name=each["Name"], GroupName=each["GroupName"]) for each in scheduler.list_schedules()["Schedules"]
    ]
    assert len(all_of_them) == 2
    return {each["ScheduleExpression"]: each for each in all_of_them}


def policies(system) -> list[str]:
    return sorted(subscription["policy"] for subscription in system.inspect("subscriptions"))


def test_every_policy_is_subscribed_to_once(system):
    assert policies(system) == ["Global", "Warehouse"]
    for subscription in system.inspect("subscriptions"):
        assert subscription["notificationUrl"] == system.outputs["NotificationUrl"]
        assert subscription["lifecycleNotificationUrl"] == system.outputs["NotificationUrl"]


def test_a_removed_subscription_is_back_after_the_next_scheduled_run(system):
    system.control("remove-subscription", policy="Warehouse")
    assert system.dial("911", "Warehouse")["deliveries"] == []

    system.renew(json.loads((EVENTS / "scheduled.json").read_text()))

    assert policies(system) == ["Global", "Warehouse"]
    report = system.dial("911", "Warehouse")
    assert [attempt["status"] for attempt in report["attempts"]] == [202]
    [message] = system.receive("alerts")
    assert json.loads(message["Message"])["callId"] == report["callId"]


def test_the_schedule_runs_the_renewer_every_quarter_of_an_hour(system):
    found = schedules(system)["rate(15 minutes)"]

    assert found["Target"]["Arn"].endswith(f":function:{system.outputs['RenewerFunctionName']}")
    # Without an input the scheduler sends its own event, which is what events/scheduled.json shows.
    assert "Input" not in found["Target"]
    assert found["Target"]["DeadLetterConfig"]["Arn"].endswith(system.resources["DeadLetterQueue"].rpartition("/")[2])


def test_another_schedule_monitors_every_minute(system):
    found = schedules(system)["rate(1 minute)"]

    assert found["Target"]["Arn"].endswith(f":function:{system.outputs['RenewerFunctionName']}")
    assert json.loads(found["Target"]["Input"]) == {"action": "monitor", "scheduledAt": "<aws.scheduler.scheduled-time>"}
    assert found["State"] == "ENABLED"


def test_a_lifecycle_notification_makes_the_renewer_run(system, watch):
    before = {each["id"]: each["deliveryTokenIssuedDateTime"] for each in system.inspect("subscriptions")}
    issued = len(system.inspect("tokens-issued"))

    system.control("lifecycle", policy="Global", event="missed")

    [event] = watch.wait_for(lambda item: item["protocol"] == "event" and item["message"]["detail-type"] == "Subscription Lifecycle")
    assert event["message"]["source"] == "teams-emergency-alerts"

    def renewed() -> bool:
        return all(each["deliveryTokenIssuedDateTime"] > before[each["id"]] for each in system.inspect("subscriptions"))

    # At once, unless another lifecycle notification had its run within the last minute.
    assert until(renewed, 90), "the subscriptions were not renewed"
    assert len(system.inspect("tokens-issued")) > issued
