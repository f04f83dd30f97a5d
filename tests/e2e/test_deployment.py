"""What a deployment promises: it ends with the subscriptions or says why not, and a stack that is deleted leaves none."""

from __future__ import annotations

import pytest
import stack
from system import System


def delete(system) -> None:
    client = system.client("cloudformation")
    client.delete_stack(StackName=stack.STACK_NAME)
    client.get_waiter("stack_delete_complete").wait(StackName=stack.STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def test_a_wrong_secret_fails_the_deployment_and_a_deleted_stack_leaves_no_subscription(started):
    system = System({**started, "outputs": {}, "resources": {}})

    with pytest.raises(stack.Failed):
        stack.deploy(started, ClientSecret="not the secret")

    pages = system.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack.STACK_NAME)
    events = [event for page in pages for event in page["StackEvents"]]
    [reason] = {
        each["ResourceStatusReason"] for each in events
        if each["LogicalResourceId"] == "Subscriptions" and each["ResourceStatus"] == "CREATE_FAILED"
    }
    assert "ClientSecret is wrong: it must be the secret's value, not its ID" in reason
    assert "not the secret" not in reason
    assert system.inspect("subscriptions") == []

    delete(system)
    stack.deploy(started)
    assert sorted(each["policy"] for each in system.inspect("subscriptions")) == ["Global", "Warehouse"]

    delete(system)
    assert system.inspect("subscriptions") == []
