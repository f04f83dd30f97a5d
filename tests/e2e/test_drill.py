"""Drills on the deployed stack: who gets one, and what the report says of them."""

from __future__ import annotations

import json

import leaks
import pytest
from front import EMAIL_FOOTER

FOOTER = EMAIL_FOOTER.partition("{")[0]
TOPICS = [({}, "TestTopic", "AlertTopic"), ({"topic": "AlertTopic"}, "AlertTopic", "TestTopic")]


# What should come of each filter policy for a drill in Seattle under the policy Warehouse.
FILTERS = {
    "named": ({"policyName": ["Warehouse"], "city": ["Seattle"], "site": [{"prefix": "400 Pine"}]}, "yes"),
    "elsewhere": ({"city": ["Redmond"]}, "no"),
    "without a place": ({"city": [{"exists": False}]}, "no"),
    "either": ({"$or": [{"policyName": ["Global"]}, {"eventType": ["drill"]}]}, "yes"),
    "of calls": ({"eventType": [{"anything-but": ["drill"]}]}, "no"),
}


@pytest.fixture
def filtered(system):
    """A queue on AlertTopic behind each of the filter policies; gives their addresses and ARNs."""
    sqs, sns, topic = system.client("sqs"), system.client("sns"), system.outputs["AlertTopicArn"]
    queues, subscriptions = {}, []
    for name, (policy, _) in FILTERS.items():
        address = sqs.create_queue(QueueName=f"drill-{name.replace(' ', '-')}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
        sqs.set_queue_attributes(QueueUrl=address, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allowed]})})
        made = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)["SubscriptionArn"]
        sns.set_subscription_attributes(SubscriptionArn=made, AttributeName="FilterPolicy", AttributeValue=json.dumps(policy))
        queues[name] = (address, arn)
        subscriptions.append(made)
    yield queues
    for made in subscriptions:
        sns.unsubscribe(SubscriptionArn=made)
    for address, _ in queues.values():
        sqs.delete_queue(QueueUrl=address)


def drill(system, **more: object) -> dict:
    return system.renew({"action": "drill", **more})


def published(system) -> list[str]:
    """Everything that Amazon SNS has taken so far."""
    return [each["messageId"] for each in system.deliveries() if each["protocol"] == "published"]


def subscribed(system, topic: str) -> list[tuple[str, str]]:
    """Protocol and endpoint of each subscriber of a topic."""
    pages = system.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=system.outputs[f"{topic}Arn"])
    return [(each["Protocol"], each["Endpoint"]) for page in pages for each in page["Subscriptions"]]


def shown(protocol: str, endpoint: str) -> tuple[str, str, str]:
    """A subscriber as the report shows it: of a web address the host only."""
    if protocol in ("http", "https"):
        endpoint = "/".join(endpoint.split("/")[:3]) + "/..."
    return protocol, endpoint, "confirmed"


@pytest.mark.parametrize(("asked", "right", "wrong"), TOPICS, ids=["without more", "said explicitly"])
def test_a_drill_reaches_every_kind_of_subscriber_of_one_topic_only(system, watch, asked, right, wrong):
    topic = {name: system.outputs[f"{name}Arn"] for name in (right, wrong)}

    report = drill(system, **asked)

    def arrived(protocol):
        [item] = watch.wait_for(lambda item: item["protocol"] == protocol and item.get("topic") == topic[right])
        return item

    email, sms, pager, queue = (arrived(protocol) for protocol in ("email", "sms", "http", "sqs"))
    body, found, _ = email["body"].partition(FOOTER)
    lines = [line for line in body.splitlines() if line.strip()]
    assert found and len(lines) > 3
    assert [line for line in lines if "DRILL" not in line] == []
    assert "DRILL" in email["subject"] and len(email["subject"]) < 100
    assert "DRILL" in sms["body"]
    document = json.loads(queue["message"]["Message"])
    assert document == json.loads(json.loads(pager["body"])["Message"])
    assert document["callId"] == report["callId"]
    assert (document["eventType"], document["isDrill"], document["isTest"], document["numberDialed"]) == ("drill", True, True, None)
    assert document["policyName"] == "Global"
    attributes = queue["message"]["MessageAttributes"]
    assert (attributes["eventType"]["Value"], attributes["isTest"]["Value"]) == ("drill", "true")
    assert len(attributes) <= 10
    assert queue["message"]["MessageId"] == report["messageId"]

    [event] = watch.wait_for(lambda item: item["protocol"] == "event" and item["message"]["detail-type"] == "Emergency Call")
    assert event["message"]["source"] == "teams-emergency-alerts"
    assert event["message"]["detail"] == document
    assert not [item for item in watch.items() if item.get("topic") == topic[wrong]]


@pytest.mark.parametrize(("asked", "topic", "_"), TOPICS, ids=["without more", "said explicitly"])
def test_the_report_lists_who_is_subscribed(system, asked, topic, _):
    report = drill(system, **asked)

    assert (report["ok"], report["topic"], report["onBus"]) == (True, topic, True)
    expected = sorted(shown(*each) for each in subscribed(system, topic))
    assert {protocol for protocol, _, _ in expected} >= {"email", "sms", "http", "sqs"}
    assert sorted((each["protocol"], each["endpoint"], each["standing"]) for each in report["subscribers"]) == expected
    for protocol, endpoint, standing in expected:
        assert [line for line in report["table"] if line.split() == [standing, protocol, endpoint]], report["table"]


def test_a_drill_names_what_filters_go_by_and_the_report_says_what_should_come_of_each(system, filtered):
    report = drill(system, topic="AlertTopic", policy="Warehouse", city="Seattle", site="400 Pine Street")

    def messages(address: str) -> list[dict]:
        received = system.client("sqs").receive_message(QueueUrl=address, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(each["Body"]) for each in received]

    arrived = {name: messages(address) for name, (address, _) in filtered.items()}
    listed = {each["endpoint"]: each for each in report["subscribers"]}
    assert {name: listed[arn]["shouldHaveIt"] for name, (_, arn) in filtered.items()} == {name: each[1] for name, each in FILTERS.items()}
    assert {name: bool(got) for name, got in arrived.items()} == {name: each[1] == "yes" for name, each in FILTERS.items()}
    assert json.loads(listed[filtered["named"][1]]["filterPolicy"]) == FILTERS["named"][0]
    [message] = arrived["named"]
    document = json.loads(message["Message"])
    assert (document["policyName"], document["location"]["city"], document["location"]["street"]) == ("Warehouse", "Seattle", "400 Pine Street")
    assert report["ok"] and any("should not have it: filter policy" in line for line in report["table"])


@pytest.mark.parametrize("more", [{"policy": "Elsewhere"}, {"city": ""}, {"site": ["Pine Street"]}])
def test_a_drill_that_names_what_it_cannot_is_not_sent(system, more):
    before = published(system)
    with pytest.raises(RuntimeError, match=r"PolicyNames has no policy 'Elsewhere'|the (city|site) of a drill is"):
        drill(system, **more)

    assert published(system) == before


def test_addresses_are_in_the_report_and_in_no_log(system):
    reports = [drill(system), drill(system, topic="AlertTopic")]

    logged = leaks.logged(system)
    assert all(report["callId"] in logged for report in reports), "the drills' logs were not found"
    people = [each["endpoint"] for report in reports for each in report["subscribers"] if each["protocol"] in ("email", "sms")]
    assert len(people) >= 4
    assert [address for address in people if address in logged] == []


def test_a_drill_needs_neither_microsoft_nor_secrets_nor_the_table(system):
    system.control("faults", operation="token", times=None, effect="fail", status=503)
    for service in ("secretsmanager", "dynamodb"):
        system.fault(service, status=500)

    assert drill(system)["ok"]


def test_what_fails_beside_the_topic_is_in_the_report(system):
    system.fault("events", status=500)
    system.fault("sns", action="ListSubscriptionsByTopic", status=500)

    report = drill(system)

    assert (report["ok"], report["onBus"], report["subscribers"]) == (False, False, None)
    assert {row["link"]: row["state"] for row in report["rows"][1:]} == {"event-bus": "failed", "topic": "unknown"}
    assert report["messageId"] in published(system)


def test_a_drill_that_amazon_sns_does_not_take_has_failed(system):
    before = published(system)
    system.fault("sns", action="Publish", status=403, code="AuthorizationError")

    with pytest.raises(RuntimeError, match="DrillNotSent.*the drill for TestTopic was not sent: Amazon SNS: AuthorizationError"):
        drill(system)

    assert published(system) == before


def test_a_topic_is_never_guessed(system):
    before = published(system)
    for more in ({"topic": "OperationsTopic"}, {"topic": "alerttopic"}, {"topic": None}, {"Topic": "AlertTopic"}):
        with pytest.raises(RuntimeError, match="what can be asked for is .*drill.*TestTopic.*AlertTopic"):
            drill(system, **more)

    assert published(system) == before
