"""Who may publish and send, by the deployed policies: read as IAM reads them, and where the emulator applies them, tried."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))

from resource_policies import WHO_MAY, Place, callers, who_may  # noqa: E402

ROLES = {"receiver": "ReceiverRole", "renewer": "RenewerRole", "scheduler": "SchedulerRole"}


@pytest.fixture(scope="module")
def everybody(deployed):
    """All who may ask, by the ARNs that they have here."""
    iam = deployed.client("iam")
    roles = {name: iam.get_role(RoleName=deployed.resources[role])["Role"]["Arn"] for name, role in ROLES.items()}
    _, partition, _, region, account, _ = deployed.outputs["AlertTopicArn"].split(":")
    return callers(Place(partition, region, account, deployed.resources["EventBus"], deployed.resources["EventBus"]), roles)


@pytest.fixture(scope="module")
def administrator(deployed):
    """The credentials of somebody who may do everything in the account."""
    iam = deployed.client("iam")
    iam.create_user(UserName="administrator")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="administrator", PolicyName="Everything", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName="administrator")["AccessKey"]
    yield {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    iam.delete_access_key(UserName="administrator", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="administrator", PolicyName="Everything")
    iam.delete_user(UserName="administrator")


def policy(system, name: str) -> tuple[str, list[dict]]:
    """The ARN of a resource, and the statements of its policy."""
    physical = system.resources[name]
    if name.endswith("Topic"):
        found = system.client("sns").get_topic_attributes(TopicArn=physical)["Attributes"]
        return physical, json.loads(found["Policy"])["Statement"]
    if name == "EventBus":
        found = system.client("events").describe_event_bus(Name=physical)
        return found["Arn"], json.loads(found["Policy"])["Statement"]
    found = system.client("sqs").get_queue_attributes(QueueUrl=physical, AttributeNames=["QueueArn", "Policy"])["Attributes"]
    return found["QueueArn"], json.loads(found["Policy"])["Statement"]


@pytest.mark.parametrize("name", WHO_MAY)
def test_only_who_must_may(system, everybody, name):
    action, wanted = WHO_MAY[name]
    arn, statements = policy(system, name)

    assert who_may(statements, everybody, action, arn) == wanted


@pytest.mark.parametrize("name", [name for name in WHO_MAY if name != "EventBus"])
def test_who_may_do_everything_in_the_account_pages_nobody(system, administrator, name):
    action, _ = WHO_MAY[name]
    service = action.partition(":")[0]
    client = boto3.client(service, endpoint_url=system.description["emulator"], region_name=system.description["region"], **administrator)
    physical = system.resources[name]

    with pytest.raises(ClientError) as refused:
        if service == "sns":
            client.publish(TopicArn=physical, Message="An emergency call")
        else:
            client.send_message(QueueUrl=physical, MessageBody="An emergency call")

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    # Otherwise that user may what it likes.
    assert client.list_topics() if service == "sns" else client.list_queues()
