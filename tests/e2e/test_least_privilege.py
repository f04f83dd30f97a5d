"""Each role allows what its function calls, and nothing else: the deployed roles against the calls that the proxy saw."""

from __future__ import annotations

import pytest
import stack
import web_identity
from roles import granted, logical, statements
from tools import ROOT

FUNCTIONS = {"ReceiverRole": "ReceiverFunctionName", "RenewerRole": "RenewerFunctionName"}

# What AWS Lambda does in a function's name, so that the proxy does not see it.
BY_LAMBDA = {
    "ReceiverRole": {"logs:CreateLogStream": {"ReceiverLogGroup"}, "logs:PutLogEvents": {"ReceiverLogGroup"}},
    "RenewerRole": {
        "logs:CreateLogStream": {"RenewerLogGroup"},
        "logs:PutLogEvents": {"RenewerLogGroup"},
        "sqs:SendMessage": {"DeadLetterQueue"},
    },
}


@pytest.fixture
def everything_done(system):
    """Every kind of work that the functions do, so that nothing that they may call stays uncalled."""
    for number in ("911", "933"):
        system.dial(number)
    for event in (
        {"action": "reconcile"},
        {"action": "rotate"},
        {"action": "check"},
        {"action": "monitor"},
        {"action": "drill"},
        {"action": "drill", "topic": "AlertTopic"},
        {"detail-type": "Subscription Lifecycle", "detail": {"lifecycleEvent": "missed", "subscriptionId": "unknown"}},
    ):
        system.renew(event)
    return system


def calls_of(system, role: str) -> list[dict]:
    pages = system.client("lambda").get_paginator("list_functions").paginate()
    found = [each for page in pages for each in page["Functions"] if each["FunctionName"] == system.outputs[FUNCTIONS[role]]]
    return [call for call in system.calls() if web_identity.role_of(call["accessKey"], found)]


def called(system, role: str) -> dict[str, set[str]]:
    """The actions that a function called, each with its resources by their logical names."""
    found: dict[str, set[str]] = {}
    for call in calls_of(system, role):
        found.setdefault(call["action"], set()).add(logical(system, call["resource"]))
    return found


@pytest.mark.parametrize("role", FUNCTIONS)
def test_a_role_allows_what_its_function_calls_and_nothing_else(everything_done, role):
    used = called(everything_done, role)
    assert "events:PutEvents" in used, f"the proxy does not see the function: {used}"

    by_lambda = BY_LAMBDA[role]
    expected = {action: used.get(action, set()) | by_lambda.get(action, set()) for action in used.keys() | by_lambda.keys()}
    assert granted(everything_done, role) == expected


def test_the_receiver_touches_only_its_own_items_in_the_table(everything_done):
    touched = {call["items"] for call in calls_of(everything_done, "ReceiverRole") if call["action"].startswith("dynamodb:")}
    [table] = [each for each in statements(everything_done, "ReceiverRole") if "dynamodb:PutItem" in each["Action"]]

    assert table["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["alert#*"]}}
    assert touched == {"alert"}


def test_the_scheduler_runs_the_renewer_and_keeps_what_failed(system):
    assert granted(system, "SchedulerRole") == {"lambda:InvokeFunction": {"RenewerFunction"}, "sqs:SendMessage": {"DeadLetterQueue"}}


def test_these_are_all_the_roles(system):
    pages = system.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.STACK_NAME)
    resources = [each for page in pages for each in page["StackResourceSummaries"]]

    roles = {each["LogicalResourceId"] for each in resources if each["ResourceType"] == "AWS::IAM::Role"}

    assert roles == {*FUNCTIONS, "SchedulerRole", "PagerDutyRole"}
    assert granted(system, "PagerDutyRole") == {"events:InvokeApiDestination": {"PagerDutyDestination"}}


@pytest.mark.parametrize("template", ["template.yaml", "second-region.yaml", "encryption-key.yaml"])
def test_everything_as_a_resource_has_its_reason_beside_it(template):
    lines = (ROOT / template).read_text().splitlines()
    unbounded = [number for number, line in enumerate(lines) if line.strip().startswith("Resource:") and "*" in line]
    assert unbounded

    for number in unbounded:
        statement = max(index for index in range(number) if "Sid:" in lines[index])
        beside = lines[statement - 1 : number]
        assert any(line.strip().startswith("#") for line in beside), f"{template}:{number + 1}"
