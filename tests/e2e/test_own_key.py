"""Everything works with a key of one's own, made by `encryption-key.yaml`."""

from __future__ import annotations

import stack
from system import System, Watch
from tools import ROOT


def key_arn(system: System) -> str:
    formation = system.client("cloudformation")
    formation.create_stack(StackName="key", TemplateBody=(ROOT / "encryption-key.yaml").read_text())
    formation.get_waiter("stack_create_complete").wait(StackName="key", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    [output] = formation.describe_stacks(StackName="key")["Stacks"][0]["Outputs"]
    return output["OutputValue"]


def test_a_call_alerts_with_a_key_of_ones_own(started):
    arn = key_arn(System({**started, "outputs": {}, "resources": {}}))
    stack.deploy(started, KmsKeyArn=arn)
    stack.finish(started)
    system = System(started)

    with Watch(system) as watch:
        call = system.dial("911")
        watch.wait_for(lambda item: item["protocol"] == "sms" and item["to"] == stack.ALERT_PHONE)
        watch.wait_for(lambda item: item["protocol"] == "chat")
    assert [attempt["status"] for attempt in call["attempts"]] == [202]

    # The emulator does not tell a topic's key; `test_kms_key.py` of the interoperability tests reads the template.
    assert "TopicsKey" not in system.resources
    keyring = system.client("secretsmanager").describe_secret(SecretId=system.resources["Keyring"])
    assert keyring["KmsKeyId"] == arn
    for queue in ("UndeliveredCalls", "DeadLetterQueue"):
        found = system.client("sqs").get_queue_attributes(QueueUrl=system.resources[queue], AttributeNames=["All"])["Attributes"]
        assert found["KmsMasterKeyId"] == arn
