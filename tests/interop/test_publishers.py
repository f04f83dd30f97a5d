"""Only the two functions tell people of calls, and only AWS's own services tell of alarms: the templates' policies, read as IAM reads them."""

from __future__ import annotations

import json
import re

import pytest
from programs import ROOT
from resource_policies import ALLOW, DENY, UNSAID, WHO_MAY, Caller, Place, Unknown, callers, decision, who_may
from rules import read_yaml

RESOURCES = read_yaml((ROOT / "template.yaml").read_text())["Resources"]
SECOND_REGION = read_yaml((ROOT / "second-region.yaml").read_text())["Resources"]
KINDS = {"AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::Events::EventBus"}

# Resources are called by their logical names, and pseudo parameters stand for themselves.
PLACE = Place("AWS::Partition", "AWS::Region", "AWS::AccountId", "AWS::StackName", "EventBus")
HOME = callers(PLACE, {"receiver": "ReceiverRole.Arn", "renewer": "RenewerRole.Arn", "scheduler": "SchedulerRole.Arn"})
AWAY = callers(PLACE, {"receiver": "ReceiverRoleArn", "renewer": "RenewerRoleArn"})


def policy(resources: dict, name: str) -> tuple[str, list[dict]]:
    """How policies name a resource, and the statements that are about it."""
    kind = resources[name]["Type"]
    if kind == "AWS::Events::EventBus":
        found = [plain(each["Properties"]["Statement"]) for each in resources.values()
                 if each["Type"] == "AWS::Events::EventBusPolicy" and each["Properties"]["EventBusName"] == name]
        return f"{name}.Arn", found
    members, named = ("Topics", name) if kind == "AWS::SNS::Topic" else ("Queues", f"{name}.Arn")
    documents = [each["Properties"]["PolicyDocument"] for each in resources.values() if name in each.get("Properties", {}).get(members, [])]
    return named, [plain(statement) for document in documents for statement in document["Statement"]]


def plain(statement: dict) -> dict:
    """A statement without the marks of substitution."""
    return json.loads(re.sub(r"\$\{([\w:]+)\}", r"\1", json.dumps(statement)))


def test_everything_that_takes_messages_or_events_has_its_row() -> None:
    assert WHO_MAY.keys() == {name for name, each in RESOURCES.items() if each["Type"] in KINDS}


@pytest.mark.parametrize("name", WHO_MAY)
def test_only_who_must_may(name: str) -> None:
    action, wanted = WHO_MAY[name]
    named, statements = policy(RESOURCES, name)
    assert who_may(statements, HOME, action, named) == wanted


@pytest.mark.parametrize("name", ["AlertTopic", "OperationsTopic"])
def test_so_it_is_in_the_second_region(name: str) -> None:
    action, wanted = WHO_MAY[name]
    named, statements = policy(SECOND_REGION, name)
    assert who_may(statements, AWAY, action, named) == wanted


@pytest.mark.parametrize("name", ["OperationsTopic", "ChatTopic", "DeadLetterQueue", "UndeliveredCalls", "EventBus"])
def test_no_deny_meets_a_service_whose_requests_have_no_keys(name: str) -> None:
    named, statements = policy(RESOURCES, name)
    denies = [each for each in statements if each["Effect"] == "Deny"]
    assert denies
    for service in ("cloudwatch", "events", "scheduler", "lambda"):
        assert decision(denies, Caller(service=f"{service}.amazonaws.com"), WHO_MAY[name][0], named) == UNSAID


def test_the_functions_publish_in_the_second_region_from_another_account() -> None:
    # Across accounts the policy itself must allow.
    named, statements = policy(SECOND_REGION, "AlertTopic")
    assert {decision(statements, AWAY[name], "sns:Publish", named) for name in ("receiver", "renewer")} == {ALLOW}


ALLOWED = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": "topic"}
SOMEBODY = Caller(arn="arn:aws:iam::111122223333:role/Some")
NO_KEYS = Caller(service="events.amazonaws.com")


@pytest.mark.parametrize(("condition", "caller", "met"), [
    ({"ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/Other", SOMEBODY.arn]}}, SOMEBODY, True),
    ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/Other"}}, SOMEBODY, False),
    ({"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::1:role/Other", SOMEBODY.arn]}}, SOMEBODY, False),
    ({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/Other"}}, SOMEBODY, True),
    # Without the key an affirmative operator does not match, and a negated one does.
    ({"ArnEquals": {"aws:PrincipalArn": SOMEBODY.arn}}, NO_KEYS, False),
    ({"ArnNotEquals": {"aws:PrincipalArn": SOMEBODY.arn}}, NO_KEYS, True),
    ({"Bool": {"aws:PrincipalIsAWSService": "false"}}, SOMEBODY, True),
    ({"Bool": {"aws:PrincipalIsAWSService": "false"}}, NO_KEYS, False),
    # All operators must match.
    ({"ArnEquals": {"aws:PrincipalArn": SOMEBODY.arn}, "Bool": {"aws:PrincipalIsAWSService": "true"}}, SOMEBODY, False),
])
def test_conditions_are_read_as_iam_reads_them(condition: dict, caller: Caller, met: bool) -> None:
    assert decision([{**ALLOWED, "Condition": condition}], caller, "sns:Publish", "topic") == (ALLOW if met else UNSAID)


def test_a_deny_is_stronger_than_an_allow() -> None:
    assert decision([ALLOWED, {**ALLOWED, "Effect": "Deny"}], SOMEBODY, "sns:Publish", "topic") == DENY


def test_what_is_not_known_is_no_guess() -> None:
    for more in ({"NotPrincipal": "*"}, {"Principal": {"AWS": SOMEBODY.arn}}, {"Condition": {"StringLike": {"aws:PrincipalArn": "*"}}}):
        with pytest.raises(Unknown):
            decision([{**ALLOWED, **more}], SOMEBODY, "sns:Publish", "topic")
