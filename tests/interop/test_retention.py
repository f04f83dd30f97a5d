"""What keeps data keeps it encrypted and for a time that is stated, and `docs/data-protection.md` names it."""

from __future__ import annotations

import re

import pytest
from programs import ROOT
from rules import read_yaml

RESOURCES = read_yaml((ROOT / "template.yaml").read_text())["Resources"]
SECOND_REGION = read_yaml((ROOT / "second-region.yaml").read_text())["Resources"]
DOCUMENT = (ROOT / "docs/data-protection.md").read_text()

# What a function, a key or a rule holds is a setting. A type that is in neither list is one that somebody has to think about.
KEEPS_NOTHING = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::EventBusPolicy",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::Lambda::Permission",
    "AWS::Logs::MetricFilter",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::HttpApi",
    "Custom::GraphSubscriptions",
}
KEPT_AFTERWARDS = {"AWS::Logs::LogGroup", "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::Events::Archive", "AWS::SecretsManager::Secret"}


def names(kind: str) -> list[str]:
    found = [name for name, resource in RESOURCES.items() if resource["Type"] == kind]
    assert found, f"there is no {kind}"
    return found


def properties(name: str) -> dict:
    return RESOURCES[name].get("Properties", {})


def given(value: object) -> bool:
    """Whether a property has a value, whichever way a condition goes."""
    outcomes = value if isinstance(value, list) else [value]
    return not any(each in (None, "", False, "AWS::NoValue") for each in outcomes)


@pytest.mark.parametrize("name", names("AWS::Logs::LogGroup"))
def test_logs_end(name: str) -> None:
    assert given(properties(name).get("RetentionInDays"))


@pytest.mark.parametrize("name", names("AWS::Serverless::Function"))
def test_functions_write_no_other_logs(name: str) -> None:
    # To a group of its own making Lambda would write for ever.
    assert properties(name)["LoggingConfig"]["LogGroup"] in names("AWS::Logs::LogGroup")


@pytest.mark.parametrize("name", names("AWS::SQS::Queue"))
def test_queues_end_and_are_encrypted(name: str) -> None:
    queue = properties(name)
    assert 60 <= queue["MessageRetentionPeriod"] <= 86400, "the document says a day"
    # One with a KMS key, the other without: !If [HasKmsKey, ...].
    assert queue["SqsManagedSseEnabled"] == ["HasKmsKey", "AWS::NoValue", True]
    assert queue["KmsMasterKeyId"] == ["HasKmsKey", "KmsKeyArn", "AWS::NoValue"]


@pytest.mark.parametrize("name", names("AWS::SNS::Topic"))
def test_topics_are_encrypted(name: str) -> None:
    assert given(properties(name).get("KmsMasterKeyId"))


def test_the_second_region_keeps_nothing_but_topics_and_encrypts_them() -> None:
    kinds = {resource["Type"] for resource in SECOND_REGION.values()} - KEEPS_NOTHING
    assert kinds == {"AWS::SNS::Topic", "AWS::SNS::Subscription"}
    topics = {name: each["Properties"] for name, each in SECOND_REGION.items() if each["Type"] == "AWS::SNS::Topic"}
    assert {topic["KmsMasterKeyId"] for topic in topics.values()} == {"AlertKey.Arn"}
    assert "second-region.yaml" in DOCUMENT


@pytest.mark.parametrize("name", names("AWS::SNS::Topic"))
def test_what_services_of_aws_publish_they_may_encrypt(name: str) -> None:
    policies = [properties(policy) for policy in names("AWS::SNS::TopicPolicy") if name in properties(policy)["Topics"]]
    allowed = [each for policy in policies for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    services = {each["Principal"].get("Service") for each in allowed} - {None}
    key = properties(name)["KmsMasterKeyId"][2]
    # AWS's own key lets nobody but the account's roles.
    assert (key == "alias/aws/sns") == (not services)
    if services:
        assert services <= let_by(RESOURCES[key])


def test_the_second_regions_alarms_may_be_encrypted() -> None:
    assert let_by(SECOND_REGION["AlertKey"]) == {"cloudwatch.amazonaws.com"}


def let_by(key: dict) -> set[str]:
    """The services that a key lets encrypt, without a condition: one that they do not meet would lose alarms and calls without a word."""
    statements = [each[1] if isinstance(each, list) else each for each in key["Properties"]["KeyPolicy"]["Statement"]]
    free = [each for each in statements if "Condition" not in each and {"kms:Decrypt", "kms:GenerateDataKey*"} <= set(each["Action"])]
    return {each["Principal"]["Service"] for each in free if "Service" in each["Principal"]}


@pytest.mark.parametrize("name", names("AWS::DynamoDB::Table"))
def test_tables_forget_and_are_encrypted(name: str) -> None:
    table = properties(name)
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}


@pytest.mark.parametrize("name", names("AWS::Events::Archive"))
def test_archives_end(name: str) -> None:
    assert given(properties(name).get("RetentionDays"))


@pytest.mark.parametrize("name", [name for name, each in RESOURCES.items() if each["Type"] in KEPT_AFTERWARDS])
def test_what_keeps_data_goes_with_the_stack(name: str) -> None:
    assert RESOURCES[name].get("DeletionPolicy") == "Delete"


def test_access_logs_tell_nothing_of_who_asked() -> None:
    [api] = names("AWS::Serverless::HttpApi")
    logged = set(re.findall(r"\$context\.([\w.]+)", properties(api)["AccessLogSettings"]["Format"]))
    personal = {each for each in logged if re.search(r"identity|authorizer|path|query|header|domain", each, re.IGNORECASE)}
    assert logged and not personal


def test_the_document_names_all_that_keeps_data_and_nothing_else() -> None:
    table = DOCUMENT.split("| Place |")[1].split("\n\n")[0]
    places = [row.split(" | ")[0] for row in table.splitlines()[2:]]
    named = {name for place in places for name in re.findall(r"`(\w+)`", place)}

    assert named == {name for name, resource in RESOURCES.items() if resource["Type"] not in KEEPS_NOTHING}


@pytest.mark.parametrize("days", ["ArchiveDays", "LogRetentionDays"])
def test_the_document_knows_the_defaults(days: str) -> None:
    parameters = read_yaml((ROOT / "template.yaml").read_text())["Parameters"]
    assert f"`{days}` ({parameters[days]['Default']}" in DOCUMENT


def test_the_document_knows_how_long_alerts_are_remembered() -> None:
    dedup = (ROOT / "functions/receiver/src/dedup.rs").read_text()
    [days] = re.findall(r"\bMARKED_FOR: SignedDuration = SignedDuration::from_hours\(24 \* (\d+)\)", dedup)
    assert f"know duplicates, {days} days" in DOCUMENT
    [hours] = re.findall(r"\bCALL_REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours\((\d+)\)", dedup)
    assert f"durations, {hours} hours" in DOCUMENT
    [hours] = re.findall(r"\bLATEST_REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours\(([\d_]+)\)", dedup)
    assert f"reported, {int(hours) // 24} days" in DOCUMENT
