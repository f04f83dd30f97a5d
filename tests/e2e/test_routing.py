"""The filter policies of docs/routing.md, read from there, deliver exactly what its table says."""

from __future__ import annotations

import itertools
import json
import re
import sys
from pathlib import Path

import pytest
from moto.sns.utils import FilterPolicyMatcher

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))

from rules import read_yaml  # noqa: E402

DOCUMENT = (ROOT / "docs/routing.md").read_text()
SEATTLE = {"address": {"street": "Pine Street", "city": "Seattle", "additionalData": {"houseNumber": "400"}}}


def sections() -> dict[str, str]:
    """The text under each heading of the third level."""
    return {text.partition("\n")[0]: text for text in re.split(r"^### ", DOCUMENT, flags=re.MULTILINE)[1:]}


def policy(name: str) -> dict:
    """The filter policy in the command under this heading."""
    [text] = re.findall(r"--attribute-value '(.*?)'\n```", sections()[name])
    return json.loads(text)


def table() -> dict[str, dict[str, bool]]:
    """What the document says, for each policy and each kind of call."""
    text = DOCUMENT[DOCUMENT.index("This is what each of the policies") : DOCUMENT.index("\n### ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    calls, _, *filters = rows
    return {
        re.fullmatch(r"\[(.*)\]\(#.*\)", name)[1]: dict(zip(calls[1:], (cell == "yes" for cell in cells), strict=True))
        for name, *cells in filters
    }


PROMISED = table()


def subscriber(system, name: str) -> str:
    """A queue on both topics, with this filter policy or none; returns its address."""
    sqs, sns = system.client("sqs"), system.client("sns")
    address = sqs.create_queue(QueueName=re.sub("[^A-Za-z]", "-", name))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=address, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allowed]})})
    for topic in ("AlertTopicArn", "TestTopicArn"):
        made = sns.subscribe(TopicArn=system.outputs[topic], Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
        if name in PROMISED:
            sns.set_subscription_attributes(
                SubscriptionArn=made["SubscriptionArn"], AttributeName="FilterPolicy", AttributeValue=json.dumps(policy(name))
            )
    return address


def unsubscribe(system, address: str) -> None:
    sns = system.client("sns")
    arn = system.client("sqs").get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for topic in ("AlertTopicArn", "TestTopicArn"):
        for each in sns.list_subscriptions_by_topic(TopicArn=system.outputs[topic])["Subscriptions"]:
            if each["Endpoint"] == arn:
                sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])
    system.client("sqs").delete_queue(QueueUrl=address)


def received(system, address: str) -> list[dict]:
    """What is in the queue. A publication is in its queues before its notification is answered."""
    sqs, messages = system.client("sqs"), []
    while found := sqs.receive_message(QueueUrl=address, MaxNumberOfMessages=10).get("Messages", []):
        for each in found:
            sqs.delete_message(QueueUrl=address, ReceiptHandle=each["ReceiptHandle"])
            messages.append(json.loads(each["Body"]))
    return messages


def make_calls(system) -> dict[str, tuple]:
    """Makes what the table's columns name; tells each by call id, event type and number."""
    redmond = system.dial("911")["callId"]
    seattle = system.dial("911", policy="Warehouse", location=SEATTLE)["callId"]
    nowhere = system.dial("911", location=None)["callId"]
    system.control("end-call", callId=redmond, wait=True)
    test = system.dial("933")["callId"]
    system.renew({"action": "drill", "topic": "AlertTopic"})
    return {
        "911 in Redmond, policy Global": (redmond, "callStarted"),
        "911 in Seattle, policy Warehouse": (seattle, "callStarted"),
        "911 without a place, policy Global": (nowhere, "callStarted"),
        "the first call's end": (redmond, "callEnded"),
        "933 in Redmond, policy Global": (test, "callStarted"),
        "a drill to AlertTopic": (None, "drill"),
    }


def identity(message: dict) -> tuple:
    document = json.loads(message["Message"])
    return (None if document["isDrill"] else document["callId"], document["eventType"])


@pytest.fixture(scope="module")
def delivered(deployed):
    """What the subscribers of all policies got of the same calls, and what somebody without a policy got."""
    deployed.repair()
    queues = {name: subscriber(deployed, name) for name in (*PROMISED, "everything")}
    calls = make_calls(deployed)
    yield {name: received(deployed, address) for name, address in queues.items()}, calls
    for address in queues.values():
        unsubscribe(deployed, address)


def test_the_document_has_a_row_for_each_policy_and_a_column_for_each_call(delivered):
    messages, calls = delivered
    policies = {name for name, text in sections().items() if "--attribute-value" in text}

    assert set(PROMISED) == policies
    assert all(set(row) == set(calls) for row in PROMISED.values())
    assert sorted(map(str, map(identity, messages["everything"]))) == sorted(map(str, calls.values()))


@pytest.mark.parametrize("name", PROMISED)
def test_a_filter_policy_delivers_exactly_what_the_document_says(delivered, name):
    messages, calls = delivered
    got = {identity(message) for message in messages[name]}

    assert {call: identified in got for call, identified in calls.items()} == PROMISED[name]


@pytest.mark.parametrize("name", PROMISED)
def test_another_reading_of_filter_policies_comes_to_the_same(delivered, name):
    messages, calls = delivered
    attributes = {identity(message): message["MessageAttributes"] for message in messages["everything"]}

    assert {call: passes_moto(policy(name), attributes[identified]) for call, identified in calls.items()} == PROMISED[name]


def passes_moto(filter_policy: dict, attributes: dict) -> bool:
    """Whether moto would let a message with these attributes through. It is asked for one alternative at a time: of `$or` it
    knows nothing in attributes, and behind a text it gives up where the attribute is missing."""
    rest = {name: value for name, value in filter_policy.items() if name != "$or"}
    policies = [{**rest, **each} for each in filter_policy.get("$or", [{}])]
    return any(
        FilterPolicyMatcher({name: [value] for name, value in zip(each, values, strict=True)}, "MessageAttributes").matches(attributes, "")
        for each in policies
        for values in itertools.product(*each.values())
    )


def test_the_attributes_are_those_in_the_document(delivered):
    messages, _ = delivered
    listed = DOCUMENT[DOCUMENT.index("## Attributes") : DOCUMENT.index("## Filter policies")]
    documented = {name: always == "yes" for name, always in re.findall(r"^\| `(\w+)` \| (yes|no) \|", listed, re.MULTILINE)}
    found = [set(message["MessageAttributes"]) for message in messages["everything"]]

    assert set.union(*found) == set(documented)
    assert set.intersection(*found) >= {name for name, always in documented.items() if always}
    assert len(documented) <= 10


def test_the_first_subscribers_are_those_in_the_document():
    listed = DOCUMENT[DOCUMENT.index("## First subscribers") : DOCUMENT.index("## Attributes")]
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+)", listed, re.MULTILINE)
    resources = read_yaml((ROOT / "template.yaml").read_text())["Resources"].values()
    made = [each["Properties"] for each in resources if each["Type"] == "AWS::SNS::Subscription"]

    assert sorted(documented) == sorted((each["Endpoint"], each["TopicArn"], each["Protocol"]) for each in made)
