"""The second way out: when Amazon SNS in the home Region does not take an alert, the topic in another Region does.

The two stacks are made as docs/regions.md says. That an answer comes within Graph's three seconds is what its outcome says: one that does
not is `timedOut`. The receiver's own limit is shown in virtual time, by `functions/receiver/tests/handler.rs`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import alarms_raised
import pytest
import stack
from dialling import alerts_in, retry
from processes import stop
from system import System

TEMPLATE = Path(__file__).resolve().parents[2] / "second-region.yaml"
NAME = "second-way"
AWAY = "us-west-2"
HOME_SNS = {"service": "sns", "region": stack.REGION}
HOW = pytest.mark.parametrize("how", [{"mode": "down"}, {"status": 500}, {"hangSeconds": 10}], ids=["reset", "failing", "hanging"])


@pytest.fixture(scope="module")
def both():
    with stack.started(NAME) as description:
        stack.deploy(description)
        stack.finish(description)
        system = System(description)
        topic = deploy_second_region(system)
        stack.deploy(description, SecondAlertTopicArn=topic)
        system.second_topic = topic
        system.second_queue = subscribed_queue(system, topic)
        yield system
    for process in reversed(description["processes"]):
        stop(process)
    stack.down(NAME)


@pytest.fixture
def system(both):
    both.repair()
    taken(both), alerts(both)
    yield both
    both.repair()


def deploy_second_region(system) -> str:
    """The topic in the other Region."""
    client = system.client("cloudformation", AWAY)
    given = {**{name: system.outputs[name] for name in ("ReceiverRoleArn", "RenewerRoleArn")}, "AlertEmail": stack.ALERT_EMAIL}
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    client.create_stack(StackName="second", TemplateBody=TEMPLATE.read_text(), Parameters=parameters)
    client.get_waiter("stack_create_complete").wait(StackName="second", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    outputs = client.describe_stacks(StackName="second")["Stacks"][0]["Outputs"]
    [topic] = [each["OutputValue"] for each in outputs if each["OutputKey"] == "SecondAlertTopicArn"]
    return topic


def subscribed_queue(system, topic: str) -> str:
    sqs = system.client("sqs", AWAY)
    queue = sqs.create_queue(QueueName="second")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    system.client("sns", AWAY).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


def taken(system) -> list[dict]:
    """The alert documents that the topic in the other Region has taken since this was asked last."""
    sqs, documents = system.client("sqs", AWAY), []
    while found := sqs.receive_message(QueueUrl=system.second_queue, MaxNumberOfMessages=10).get("Messages"):
        for each in found:
            sqs.delete_message(QueueUrl=system.second_queue, ReceiptHandle=each["ReceiptHandle"])
            documents.append(json.loads(json.loads(each["Body"])["Message"]))
    return documents


def alerts(system) -> list[dict]:
    """The same of AlertTopic and TestTopic."""
    return [document for queue in ("alerts", "tests") for document in alerts_in(system, queue)]


def counts(log: alarms_raised.Log, name: str) -> bool:
    """Whether of the alert that its first topic did not take the receiver counts this, and nothing else."""
    return log.metrics({"AlertsPublishedSecondWay", "AlertsNotPublished"}, {name: 1}) == {name: 1}


def ids(documents: list[dict]) -> list[str]:
    return [document["callId"] for document in documents]


def test_while_the_home_region_works_nothing_goes_the_second_way(system):
    report = system.dial("911")

    assert [attempt["status"] for attempt in report["attempts"]] == [202]
    assert (ids(alerts(system)), taken(system)) == ([report["callId"]], [])


@HOW
def test_what_the_home_region_does_not_take_goes_the_second_way_once(system, how):
    system.fault(**HOME_SNS, **how)
    log = alarms_raised.Log(system, "Receiver")

    report = system.dial("911")

    [attempt] = report["attempts"]
    assert (attempt["outcome"], attempt["status"]) == ("accepted", 202)
    assert counts(log, "AlertsPublishedSecondWay")
    assert (alerts(system), ids(taken(system))) == ([], [report["callId"]])
    system.repair()
    system.control("redeliver", callId=report["callId"], wait=True)
    assert (alerts(system), taken(system)) == ([], [])


def test_only_when_both_ways_fail_graph_is_asked_to_retry(system):
    system.fault("sns", hangSeconds=10)
    log = alarms_raised.Log(system, "Receiver")

    report = system.dial("911")

    [attempt] = report["attempts"]
    assert (attempt["outcome"], attempt["status"]) == ("refused", 503)
    assert counts(log, "AlertsNotPublished")
    system.repair()
    assert retry(system, report["callId"])["attempts"][-1]["status"] == 202
    assert (ids(alerts(system)), taken(system)) == ([report["callId"]], [])


@HOW
def test_a_test_call_waits_for_the_home_region(system, how):
    system.fault(**HOME_SNS, **how)
    log = alarms_raised.Log(system, "Receiver")

    report = system.dial("933")

    assert [attempt["status"] for attempt in report["attempts"]] == [503]
    assert counts(log, "AlertsNotPublished")
    assert taken(system) == []
    system.repair()
    assert retry(system, report["callId"])["attempts"][-1]["status"] == 202
    assert (ids(alerts(system)), taken(system)) == ([report["callId"]], [])


def test_the_check_looks_at_the_second_topic_and_a_drill_reaches_it(system):
    rows = system.renew({"action": "check"})["rows"]
    [heard, reached] = [row for row in rows if row["subject"] == "SecondAlertTopic"]
    assert (heard["link"], heard["state"], heard["finding"]) == ("topic", "ok", "Confirmed subscribers: 2.")
    assert reached["link"] == "second-way"
    assert re.fullmatch(r"Over a new connection it answered after \d+ ms\.", reached["finding"])

    report = system.renew({"action": "drill", "topic": "SecondAlertTopic"})

    assert (report["ok"], report["topic"]) == (True, "SecondAlertTopic")
    assert {(each["protocol"], each["standing"]) for each in report["subscribers"]} == {("sqs", "confirmed"), ("email", "confirmed")}
    [document] = taken(system)
    assert (document["callId"], document["isDrill"], document["audience"]) == (report["callId"], True, "alert")
    assert alerts(system) == []


def test_the_functions_may_use_that_topic_and_its_key_and_nothing_else_there(system):
    iam = system.client("iam")

    def granted(role: str, policy: str) -> list[dict]:
        name = system.resources[role]
        if policy not in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            return []
        return iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]

    topic, (_, _, _, region, account, _) = system.second_topic, system.second_topic.split(":")
    publish = [
        {"Sid": "PublishTheSecondWay", "Effect": "Allow", "Action": "sns:Publish", "Resource": topic},
        {
            "Sid": "EncryptForTheSecondWay",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": f"arn:aws:kms:{region}:{account}:key/*",
            "Condition": {
                "StringEquals": {
                    "kms:EncryptionContext:aws:sns:topicArn": topic, "kms:ViaService": f"sns.{region}.amazonaws.com",
                },
            },
        },
    ]
    looks = {
        "Sid": "LookAtTheSecondTopic", "Effect": "Allow", "Action": ["sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"],
        "Resource": topic,
    }
    assert granted("ReceiverRole", "SecondWay") == granted("RenewerRole", "SecondWay") == publish
    assert (granted("ReceiverRole", "SecondWayWatch"), granted("RenewerRole", "SecondWayWatch")) == ([], [looks])


def test_a_topic_of_the_home_region_fails_the_deployment(system):
    with pytest.raises(stack.Failed):
        stack.deploy(system.description, SecondAlertTopicArn=system.outputs["AlertTopicArn"])

    events = system.client("cloudformation").describe_stack_events(StackName=stack.STACK_NAME)["StackEvents"]
    reasons = [each.get("ResourceStatusReason", "") for each in events if each["LogicalResourceId"] == "Subscriptions"]
    assert any("the parameter SecondAlertTopicArn cannot be used" in reason for reason in reasons), reasons
