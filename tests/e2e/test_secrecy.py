"""Least privilege, and what must not be found where."""

from __future__ import annotations

import re

import leaks
from finish import BATCH_POLICY
from stack import CLIENT_SECRET


def granted(system, role: str) -> dict[str, set[str]]:
    """The actions that a role allows, each with its resources by their logical names."""
    # The name at the end of an ARN; a queue's physical id is an address that ends with it.
    names = {re.split(r"^https?://[^/]+/[^/]+/", physical)[-1]: name for name, physical in system.resources.items()}

    def logical(arn: str) -> str:
        # Secrets Manager adds six characters of its own; a log group's streams are `:*`.
        ends = [tail for tail in names if re.search(rf"(^|[:/]){re.escape(tail)}(-[0-9A-Za-z]{{6}})?(:\*)?$", arn)]
        return names[max(ends, key=len)] if ends else arn

    iam = system.client("iam")
    name = system.resources[role]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    found: dict[str, set[str]] = {}
    for policy in set(iam.list_role_policies(RoleName=name)["PolicyNames"]) - {BATCH_POLICY}:
        for statement in iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions, resources = (
                value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
            )
            for action in actions:
                found.setdefault(action, set()).update(logical(resource) for resource in resources)
    return found


def test_the_receiver_may_do_no_more_than_it_needs(system):
    assert granted(system, "ReceiverRole") == {
        "logs:CreateLogStream": {"ReceiverLogGroup"},
        "logs:PutLogEvents": {"ReceiverLogGroup"},
        "secretsmanager:GetSecretValue": {"Keyring"},
        "dynamodb:GetItem": {"StateTable"},
        "dynamodb:PutItem": {"StateTable"},
        "sns:Publish": {"AlertTopic", "TestTopic"},
        "events:PutEvents": {"EventBus"},
    }


def test_the_receiver_may_touch_only_its_own_items_in_the_table(system):
    iam, role = system.client("iam"), system.resources["ReceiverRole"]
    statements = iam.get_role_policy(RoleName=role, PolicyName="Receiver")["PolicyDocument"]["Statement"]

    [table] = [each for each in statements if "dynamodb:PutItem" in each["Action"]]

    assert table["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["alert#*"]}}


def test_the_renewer_may_do_no_more_than_it_needs(system):
    table = {f"dynamodb:{action}": {"StateTable"} for action in ("GetItem", "PutItem", "DeleteItem", "Query")}
    assert granted(system, "RenewerRole") == {
        **table,
        "logs:CreateLogStream": {"RenewerLogGroup"},
        "logs:PutLogEvents": {"RenewerLogGroup"},
        "secretsmanager:GetSecretValue": {"ClientSecretValue", "Keyring"},
        "secretsmanager:PutSecretValue": {"Keyring"},
        "events:PutEvents": {"EventBus"},
        "sqs:SendMessage": {"DeadLetterQueue"},
        "sns:GetTopicAttributes": {"AlertTopic", "TestTopic", "OperationsTopic", "ChatTopic"},
        "sns:ListSubscriptionsByTopic": {"AlertTopic", "TestTopic"},
        "sns:Publish": {"AlertTopic", "TestTopic"},
        "cloudwatch:DescribeAlarms": {"*"},
    }


def test_secrets_and_personal_data_stay_where_they_belong(system):
    system.dial("911")
    system.notify(b'{"value":[{"clientState":"forged"}]}')
    for action in ("reconcile", "rotate", "check"):
        system.renew({"action": action})
    found = leaks.secrets(system)
    assert len([what for what in found if what.startswith("private key")]) >= 2
    assert CLIENT_SECRET in found.values()
    personal = {"a name": "Adele", "an address": "Microsoft Way", "a number": "14255550100", "a user": "adele.vance"}
    assert "alert" in leaks.logged(system).lower(), "the functions' logs were not found"

    leaks.assert_nowhere(system, {**found, **personal})
