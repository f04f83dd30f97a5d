"""What machines get: PagerDuty, chat, the archive, and the patterns of docs/integrations.md, deployed as they stand there."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import leaks
import pytest
import stack
from jsonschema import Draft202012Validator
from stack import PAGERDUTY_KEY
from system import System

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))

from rules import snippets  # noqa: E402

SCHEMAS = Path(__file__).resolve().parent / "schemas"
HOSTILE = {
    "displayName": 'Ana "Nana" O\'Neil\\ <key> <summary>\r\n{"event_action":"resolve"} 🚒 \u202eX',
    "upn": "ana@contoso.com",
    "phoneNumber": "14255550100",
}


def judge(name: str, message: dict) -> None:
    """Fails unless the message is what the published documentation asks for."""
    problems = [error.message for error in Draft202012Validator(json.loads((SCHEMAS / name).read_text())).iter_errors(message)]
    assert not problems, (problems, message)


def incidents(watch, count: int = 1) -> list[dict]:
    """What PagerDuty got, as soon as there is so much of it; each a valid event."""
    found = [json.loads(item["body"]) for item in watch.wait_for(lambda item: item["protocol"] == "pagerduty", count)]
    for each in found:
        judge("pagerduty-events-v2.json", each)
        assert each["routing_key"] == PAGERDUTY_KEY
    return found


def cards(watch, count: int = 1) -> list[dict]:
    """What Amazon Q got, as soon as there is so much of it; each a valid custom notification."""
    found = [json.loads(item["message"]["Message"]) for item in watch.wait_for(lambda item: item["protocol"] == "chat", count)]
    for each in found:
        judge("amazon-q-custom-notification.json", each)
    return found


def documents(watch, count: int = 1) -> list[dict]:
    """The alert documents on the bus."""

    def wanted(item: dict) -> bool:
        return item["protocol"] == "event" and item["message"]["detail-type"] == "Emergency Call"

    return [item["message"]["detail"] for item in watch.wait_for(wanted, count)]


def test_a_call_opens_an_incident_in_pagerduty_and_its_end_resolves_it(system, watch):
    call = system.dial("911")["callId"]
    incidents(watch)
    system.control("end-call", callId=call, wait=True)

    opened, resolved = incidents(watch, 2)
    started, _ = documents(watch, 2)

    assert (opened["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == resolved["dedup_key"]
    assert opened["payload"]["severity"] == "critical"
    for part in ("911", "Adele Vance", "725 Microsoft Way NE", "14255550100"):
        assert part in opened["payload"]["summary"]
    details = opened["payload"]["custom_details"]
    assert details["receivedAt"] == started["receivedAt"]
    assert (details["caller"], details["location"]) == (started["caller"], started["location"])
    assert (details["verified"], details["degraded"], details["drill"]) == ("true", "false", "false")


def test_chat_shows_the_end_of_a_call_in_the_thread_of_its_start(system, watch):
    call = system.dial("911")["callId"]
    cards(watch)
    system.control("end-call", callId=call, wait=True)

    first, second = cards(watch, 2)
    started, ended = documents(watch, 2)

    assert first["metadata"]["threadId"] == second["metadata"]["threadId"]
    assert (first["content"], second["content"]) == (started["chat"], ended["chat"])
    assert first["id"] != second["id"]


def test_pagerduty_and_chat_do_not_hear_of_tests(system, watch):
    system.dial("933")
    real = system.dial("911")["callId"]

    [incident], [card] = incidents(watch), cards(watch)
    test, call = documents(watch, 2)

    assert (test["audience"], call["callId"]) == ("test", real)
    assert incident["dedup_key"] == card["metadata"]["threadId"] == call["incident"]["key"]


def test_another_call_is_another_incident(system, watch):
    system.dial("911")
    system.dial("911")

    first, second = incidents(watch, 2)

    assert first["dedup_key"] != second["dedup_key"]


@pytest.mark.parametrize("more", [{"caller": HOSTILE}, {"location": None}], ids=["hostile names", "no place"])
def test_what_people_type_cannot_spoil_a_page(system, watch, more):
    system.dial("911", **more)

    [incident], [card], [document] = incidents(watch), cards(watch), documents(watch)

    assert incident["event_action"] == "trigger"
    assert incident["payload"]["summary"] == document["incident"]["summary"]
    assert incident["payload"]["custom_details"]["caller"] == document["caller"]
    assert incident["payload"]["custom_details"]["location"] == document["location"]
    assert card["content"] == document["chat"]


def test_a_drill_to_everybody_is_an_incident_of_little_weight(system, watch):
    system.renew({"action": "drill", "topic": "AlertTopic"})

    [incident], [card] = incidents(watch), cards(watch)

    assert (incident["event_action"], incident["payload"]["severity"]) == ("trigger", "info")
    assert incident["payload"]["custom_details"]["drill"] == "true"
    assert "DRILL" in incident["payload"]["summary"].upper()
    assert "DRILL" in card["content"]["title"].upper()


def test_the_integration_key_is_in_the_connection_only(system):
    events = system.client("events")
    bus = system.outputs["EventBusName"]
    rules = [rule["Name"] for rule in events.list_rules(EventBusName=bus)["Rules"]]
    targets = [events.list_targets_by_rule(EventBusName=bus, Rule=name)["Targets"] for name in rules]
    destinations = events.list_api_destinations()["ApiDestinations"]

    assert PAGERDUTY_KEY not in json.dumps([rules, targets, destinations], default=str)
    leaks.assert_nowhere(system, {"PagerDuty's integration key": PAGERDUTY_KEY})


def test_operators_hear_of_what_was_not_delivered(system):
    [alarm] = system.client("cloudwatch").describe_alarms(AlarmNames=[system.resources["CallsNotDelivered"]])["MetricAlarms"]

    assert alarm["AlarmActions"] == [system.outputs["OperationsTopicArn"]]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": system.outputs["UndeliveredCallsArn"].rpartition(":")[2]}]


def test_what_the_parameters_switch_on_they_switch_off(started):
    system = System({**started, "outputs": {}, "resources": {}})
    events = system.client("events")

    def there() -> dict:
        listed = {
            "connections": events.list_connections()["Connections"],
            "destinations": events.list_api_destinations()["ApiDestinations"],
            "topics": [each for each in system.client("sns").list_topics()["Topics"] if "ChatTopic" in each["TopicArn"]],
            "rules": [each for each in events.list_rules(EventBusName=stack.STACK_NAME)["Rules"] if "Lifecycle" not in each["Name"]],
        }
        return {
            **{what: len(found) for what, found in listed.items()},
            "kept for days": [each["RetentionDays"] for each in events.list_archives()["Archives"]],
        }

    off = {"PagerDutyRoutingKey": "none", "ChatNotifications": "Off"}
    nothing = {"connections": 0, "destinations": 0, "topics": 0, "rules": 0}
    stack.deploy(started, **off, ArchiveDays="0")
    assert there() == {**nothing, "kept for days": []}

    stack.deploy(started, ArchiveDays="30")
    assert there() == {"connections": 1, "destinations": 1, "topics": 1, "rules": 2, "kept for days": [30]}

    stack.deploy(started, **off, ArchiveDays="60")
    assert there() == {**nothing, "kept for days": [60]}


# The document


def endpoints(system) -> dict[str, str]:
    """Values for the snippets' parameters, with endpoints on this machine."""
    front = f"{system.description['front']}/_local/webhook"
    return {
        "EventBusName": system.outputs["EventBusName"],
        "ChatTopicArn": system.outputs["ChatTopicArn"],
        "UndeliveredCallsArn": system.outputs["UndeliveredCallsArn"],
        "ApiKey": "the-api-key",
        "Endpoint": f"{front}/endpoint",
        "WebhookUrl": f"{front}/workflow",
        "UserName": "emergency",
        "UserPassword": "the-password",
    }


@contextlib.contextmanager
def snippet(system, title: str, **more: str):
    """Deploys a snippet of the document as a stack of its own; gives its outputs."""
    formation, name = system.client("cloudformation"), f"snippet-{time.time_ns()}"
    text = snippets()[title]
    asked = {each["ParameterKey"] for each in formation.validate_template(TemplateBody=text)["Parameters"]}
    given = {key: value for key, value in {**endpoints(system), **more}.items() if key in asked}
    formation.create_stack(
        StackName=name, TemplateBody=text, Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    try:
        formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        [stack] = formation.describe_stacks(StackName=name)["Stacks"]
        yield {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    finally:
        formation.delete_stack(StackName=name)
        formation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def called(watch, count: int = 1) -> list[dict]:
    """What other API destinations got."""
    return watch.wait_for(lambda item: item["protocol"] == "webhook", count)


def header(item: dict, name: str) -> str:
    return {key.lower(): value for key, value in item["headers"].items()}[name.lower()]


def test_a_replay_reaches_the_rule_that_asks_for_it_and_alarms_nobody(system, watch):
    [archive] = [
        each for each in system.client("events").list_archives()["Archives"]
        if each["ArchiveName"] == system.resources["CallArchive"]
    ]
    described = system.client("events").describe_archive(ArchiveName=archive["ArchiveName"])
    assert described["RetentionDays"] == 90
    assert json.loads(described["EventPattern"]) == {"source": ["teams-emergency-alerts"], "detail-type": ["Emergency Call"]}
    bus = system.client("events").describe_event_bus(Name=system.outputs["EventBusName"])["Arn"]
    assert described["EventSourceArn"] == bus

    with snippet(system, "Replayed calls, in a queue") as outputs:
        call = system.dial("911")["callId"]
        test = system.dial("933")["callId"]
        incidents(watch), cards(watch)
        now = datetime.now(timezone.utc)
        system.client("events").start_replay(
            ReplayName=f"replay-{time.time_ns()}", EventSourceArn=system.outputs["CallArchiveArn"],
            EventStartTime=now - timedelta(hours=1), EventEndTime=now + timedelta(hours=1),
            Destination={"Arn": bus, "FilterArns": [outputs["RuleArn"]]},
        )
        wanted, seen = {call, test}, set()
        sqs, deadline = system.client("sqs"), time.monotonic() + 20
        while not wanted <= seen and time.monotonic() < deadline:
            for each in sqs.receive_message(QueueUrl=outputs["QueueUrl"], MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
                message = json.loads(each["Body"])
                assert message["replay-name"].startswith("replay-")
                seen.add(message["detail"]["callId"])
                sqs.delete_message(QueueUrl=outputs["QueueUrl"], ReceiptHandle=each["ReceiptHandle"])
        assert wanted <= seen
    # A call behind the replay: what the replay had set off would have come before.
    system.dial("911")
    assert len(incidents(watch, 2)) == len(cards(watch, 2)) == 2


def test_jira_service_management_gets_an_alert_and_closes_it(system, watch):
    with snippet(system, "Emergency calls as alerts of Jira Service Management or Opsgenie"):
        system.dial("933")
        call = system.dial("911", caller=HOSTILE)["callId"]
        called(watch)
        system.control("end-call", callId=call, wait=True)
        created, closed = called(watch, 2)

    _, document, _ = documents(watch, 3)
    assert header(created, "Authorization") == header(closed, "Authorization") == "GenieKey the-api-key"
    alert = json.loads(created["body"])
    assert (created["to"], alert["alias"]) == ("endpoint", document["incident"]["key"])
    assert alert["description"] == document["incident"]["summary"]
    assert len(alert["message"]) <= 130
    assert closed["to"] == f"endpoint/{document['incident']['key']}/close"
    assert closed["query"] == {"identifierType": "alias"}
    assert json.loads(closed["body"])["source"] == "teams-emergency-alerts"


def test_a_slack_workflow_gets_its_variables(system, watch):
    with snippet(system, "A Slack workflow for each event of an emergency call"):
        system.dial("911", caller=HOSTILE)
        [item] = called(watch)

    [document] = documents(watch)
    incident = document["incident"]
    assert json.loads(item["body"]) == {
        "summary": incident["summary"], "call": incident["key"], "action": "trigger", "severity": "critical",
    }


def test_servicenow_gets_an_incident_for_a_call_only(system, watch):
    with snippet(system, "An incident in ServiceNow for each emergency call"):
        first = system.dial("911", caller=HOSTILE)["callId"]
        system.control("end-call", callId=first, wait=True)
        system.dial("911")
        one, other = called(watch, 2)

    started, _, next_started = documents(watch, 3)
    assert header(one, "Authorization") == "Basic " + base64.b64encode(b"emergency:the-password").decode()
    assert [json.loads(item["body"])["correlation_id"] for item in (one, other)] == [
        started["incident"]["key"], next_started["incident"]["key"],
    ]
    assert json.loads(one["body"])["description"] == started["incident"]["summary"]


def test_test_calls_can_be_shown_in_chat(system, watch):
    with snippet(system, "Test calls in chat"):
        system.dial("933")
        [card] = cards(watch)

    [document] = documents(watch)
    assert document["audience"] == "test"
    assert card["content"] == document["chat"]


def test_another_bus_gets_the_same_document(system, watch):
    events, sqs = system.client("events"), system.client("sqs")
    name = f"other-{time.time_ns()}"
    other = events.create_event_bus(Name=name)["EventBusArn"]
    address = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": ["teams-emergency-alerts"]}))
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])

    with snippet(system, "Emergency calls for another account", OtherBusArn=other):
        system.dial("911", caller=HOSTILE)
        [document] = documents(watch)
        [message] = sqs.receive_message(QueueUrl=address, WaitTimeSeconds=5)["Messages"]

    assert json.loads(message["Body"])["detail"] == document
    events.remove_targets(Rule=name, EventBusName=name, Ids=["queue"])
    events.delete_rule(Name=name, EventBusName=name)
    events.delete_event_bus(Name=name)
    sqs.delete_queue(QueueUrl=address)
