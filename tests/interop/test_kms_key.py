"""With the parameter KmsKeyArn everything that keeps data uses that key, and whoever handles the data may use it."""

from __future__ import annotations

import pytest
from programs import ROOT
from rules import read_yaml
from test_retention import KEEPS_NOTHING, RESOURCES

# Where each type names its key.
KEY_PROPERTY = {
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::Events::Archive": ("KmsKeyIdentifier",),
    "AWS::Events::Connection": ("KmsKeyIdentifier",),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SecretsManager::Secret": ("KmsKeyId",),
}
# A subscription's address and a destination's address are parts of what they belong to, and a function holds its settings:
# AWS encrypts them with keys of its own.
NO_KEY_OF_THEIR_OWN = {"AWS::Events::ApiDestination", "AWS::SNS::Subscription", "AWS::Serverless::Function"}
# What a role does with data at rest, and the service that then asks for the key.
BY_WAY_OF = {
    "dynamodb:GetItem": "dynamodb",
    "dynamodb:PutItem": "dynamodb",
    "secretsmanager:GetSecretValue": "secretsmanager",
    "secretsmanager:PutSecretValue": "secretsmanager",
    "sns:Publish": "sns",
    "sqs:SendMessage": "sqs",
}
ROLES = [name for name, each in RESOURCES.items() if each["Type"] == "AWS::IAM::Role"]
KEY_TEMPLATE = read_yaml((ROOT / "encryption-key.yaml").read_text())
KEY_POLICY = {each["Sid"]: each for each in KEY_TEMPLATE["Resources"]["Key"]["Properties"]["KeyPolicy"]["Statement"]}


def statements(role: str) -> list[dict]:
    """What a role may do, whichever way the conditions go."""
    policies = RESOURCES[role]["Properties"]["Policies"]
    given = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    return [each[1] if isinstance(each, list) else each for each in given]


def actions(role: str) -> set[str]:
    listed = [each["Action"] for each in statements(role)]
    return {action for one in listed for action in (one if isinstance(one, list) else [one])}


@pytest.mark.parametrize("name", [name for name, each in RESOURCES.items() if each["Type"] not in KEEPS_NOTHING | NO_KEY_OF_THEIR_OWN])
def test_what_keeps_data_uses_the_key(name: str) -> None:
    value = RESOURCES[name]["Properties"]
    for part in KEY_PROPERTY[RESOURCES[name]["Type"]]:
        value = value[part]

    # !If [HasKmsKey, !Ref KmsKeyArn, otherwise]
    assert value[:2] == ["HasKmsKey", "KmsKeyArn"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_use_the_key_by_way_of_the_services_that_it_calls(role: str) -> None:
    services = {BY_WAY_OF[action] for action in actions(role) if action in BY_WAY_OF}
    grants = [each for each in statements(role) if each["Sid"] == "UseKmsKey"]

    assert len(grants) == (1 if services else 0)
    for grant in grants:
        assert grant["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
        assert grant["Resource"] == "KmsKeyArn"
        ways = grant["Condition"]["StringEquals"]["kms:ViaService"]
        ways = ways if isinstance(ways, list) else [ways]
        assert ways == [f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}" for service in sorted(services)]


def test_the_services_of_aws_may_use_the_key() -> None:
    principals = {sid: statement["Principal"].get("Service") for sid, statement in KEY_POLICY.items()}

    assert principals == {
        "TheAccountGovernsIt": None,
        "TheStacksRolesUseIt": None,
        "AlarmsArePublished": "cloudwatch.amazonaws.com",
        "EventsAreKeptAndDelivered": "events.amazonaws.com",
        "SchedulesKeepWhatFailed": "scheduler.amazonaws.com",
        "LogsAreKept": "logs.${AWS::Region}.amazonaws.com",
    }
    for sid in ("AlarmsArePublished", "EventsAreKeptAndDelivered"):
        # Any condition that they do not meet would lose alarms and calls without a word.
        assert "Condition" not in KEY_POLICY[sid]
        assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= set(KEY_POLICY[sid]["Action"])
    assert "Condition" not in KEY_POLICY["SchedulesKeepWhatFailed"]
    assert KEY_POLICY["SchedulesKeepWhatFailed"]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_the_roles_may_use_the_key_before_an_update_reaches_them() -> None:
    condition = KEY_POLICY["TheStacksRolesUseIt"]["Condition"]
    named = [each.rpartition("${StackName}-")[2].removesuffix("-*") for each in condition["ArnLike"]["aws:PrincipalArn"]]
    services = {way.partition(".")[0] for way in condition["StringEquals"]["kms:ViaService"]}

    assert set(named) == {role for role in ROLES if any(each["Sid"] == "UseKmsKey" for each in statements(role))}
    assert services == set(BY_WAY_OF.values())


def test_no_stacks_name_is_so_long_that_its_roles_get_another() -> None:
    names = KEY_POLICY["TheStacksRolesUseIt"]["Condition"]["ArnLike"]["aws:PrincipalArn"]
    longest = max(len(name.rpartition("/")[2].replace("${StackName}", "").removesuffix("*")) for name in names)
    # Of a role's 64 characters CloudFormation fills the last 12.
    assert KEY_TEMPLATE["Parameters"]["StackName"]["MaxLength"] + longest + 12 <= 64


def test_the_key_is_for_the_stacks_own_logs() -> None:
    allowed = KEY_POLICY["LogsAreKept"]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    patterns = [each.rpartition(":log-group:")[2].replace("${StackName}", "${AWS::StackName}") for each in allowed]
    groups = [each["Properties"]["LogGroupName"] for each in RESOURCES.values() if each["Type"] == "AWS::Logs::LogGroup"]

    for group in groups:
        assert any(group.startswith(pattern.rstrip("*")) for pattern in patterns), group


def test_the_key_outlives_its_stack() -> None:
    key = KEY_TEMPLATE["Resources"]["Key"]

    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"
    assert {"Key": "EventBridgeApiDestinations", "Value": "true"} in key["Properties"]["Tags"]
