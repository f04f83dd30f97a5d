"""Completes a deployed stack for local use, and prints what it found and made as JSON.

    python finish.py routes                 during the deployment
    python finish.py rest DESCRIPTION       after it

- The emulator ignores the OpenAPI document in which SAM describes an HTTP API's routes; the same routes are added here. The
  deployment itself needs them: it ends only when Graph's handshake has succeeded.
- To the emulator PublishBatch is a permission of its own; on AWS sns:Publish covers it, so whoever has that gets it here.
- Subscribers of every kind are put on the topics, and a queue behind a rule on the event bus.
"""

from __future__ import annotations

import json
import sys
import time

import boto3
from botocore.exceptions import ClientError
from stack import STACK_NAME, TEST_PHONE

BATCH_POLICY = "PublishBatchInTheEmulator"

# What a route connects.
ROUTED = {"HttpApi", "ReceiverFunction"}


def add_routes() -> None:
    """Adds the routes that the template under deployment declares, as soon as there is what they connect."""
    while not ROUTED <= physical_ids().keys():
        time.sleep(0.1)
    api = physical_ids()["HttpApi"]
    formation = boto3.client("cloudformation")
    # Under deployment the template belongs to the change set; the stack gets it when that is done.
    [change, *_] = sorted(formation.list_change_sets(StackName=STACK_NAME)["Summaries"], key=lambda one: one["CreationTime"], reverse=True)
    found = formation.get_template(StackName=STACK_NAME, ChangeSetName=change["ChangeSetId"], TemplateStage="Processed")["TemplateBody"]
    resources = (json.loads(found) if isinstance(found, str) else found)["Resources"]
    gateway = boto3.client("apigatewayv2")
    physical = physical_ids()
    for resource in resources.values():
        if resource["Type"] != "AWS::ApiGatewayV2::Api":
            continue
        for path, operations in resource["Properties"]["Body"]["paths"].items():
            for method, operation in operations.items():
                function = physical[function_of(operation["x-amazon-apigateway-integration"])]
                arn = boto3.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
                integration = gateway.create_integration(
                    ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
                )
                gateway.create_route(
                    ApiId=api, RouteKey=f"{method.upper()} {path}", Target=f"integrations/{integration['IntegrationId']}"
                )


def function_of(integration: dict) -> str:
    """The logical name of the function in the integration's address, which reads `...${Name.Arn}/invocations`."""
    return json.dumps(integration["uri"]).partition("${")[2].rpartition(".Arn}")[0].rpartition("${")[2]


def allow_batches(resources: dict[str, str], types: dict[str, str]) -> None:
    """Gives sns:PublishBatch to each role that has sns:Publish, for the same topics."""
    iam = boto3.client("iam")
    for name, role in resources.items():
        if types[name] != "AWS::IAM::Role":
            continue
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            for statement in iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]["Statement"]:
                if statement["Action"] == "sns:Publish":
                    batches = {"Version": "2012-10-17", "Statement": [{**statement, "Action": "sns:PublishBatch"}]}
                    iam.put_role_policy(RoleName=role, PolicyName=BATCH_POLICY, PolicyDocument=json.dumps(batches))


def resource_types() -> dict[str, str]:
    found = boto3.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    return {each["LogicalResourceId"]: each["ResourceType"] for each in found}


def physical_ids() -> dict[str, str]:
    """The resources that are there, by their logical names; none while there is no stack."""
    try:
        found = boto3.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    except ClientError as refused:
        if refused.response["Error"]["Code"] != "ValidationError":
            raise
        return {}
    complete = [each for each in found if each["ResourceStatus"].endswith("_COMPLETE") and each.get("PhysicalResourceId")]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in complete}


def outputs() -> dict[str, str]:
    stack = boto3.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def queue(name: str, source: str) -> tuple[str, str]:
    """A new queue to which this AWS service may send: its address and its ARN."""
    sqs = boto3.client("sqs")
    address = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": source}, "Action": "sqs:SendMessage", "Resource": arn}],
    }
    sqs.set_queue_attributes(QueueUrl=address, Attributes={"Policy": json.dumps(policy)})
    return address, arn


def subscribe(deployed: dict[str, str], front: str) -> dict[str, str]:
    """Puts subscribers on the topics and the bus; returns the addresses of the queues among them."""
    sns = boto3.client("sns")
    alerts, alerts_arn = queue("alerts", "sns.amazonaws.com")
    tests, tests_arn = queue("tests", "sns.amazonaws.com")
    chat, chat_arn = queue("chat", "sns.amazonaws.com")
    bus, bus_arn = queue("events", "events.amazonaws.com")
    # The template has subscribed AlertEmail, AlertPhone and TestEmail already.
    for topic, subscriptions in {
        deployed["AlertTopicArn"]: [("sqs", alerts_arn), ("http", f"{front}/_local/pager/on-call")],
        deployed["TestTopicArn"]: [
            ("sqs", tests_arn), ("sms", TEST_PHONE), ("http", f"{front}/_local/pager/telephony"),
        ],
        # In the place of Amazon Q, which would subscribe by https.
        deployed["ChatTopicArn"]: [("sqs", chat_arn)],
    }.items():
        for protocol, endpoint in subscriptions:
            sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    events = boto3.client("events")
    events.put_rule(
        Name="everything", EventBusName=deployed["EventBusName"], EventPattern=json.dumps({"source": ["teams-emergency-alerts"]})
    )
    events.put_targets(Rule="everything", EventBusName=deployed["EventBusName"], Targets=[{"Id": "queue", "Arn": bus_arn}])
    return {"alerts": alerts, "tests": tests, "chat": chat, "events": bus}


def main() -> None:
    if sys.argv[1] == "routes":
        return add_routes()
    description = json.loads(sys.argv[2])
    deployed, resources = outputs(), physical_ids()
    allow_batches(resources, resource_types())
    print(json.dumps({
        "outputs": deployed,
        "resources": resources,
        "queues": subscribe(deployed, description["front"]),
    }))


if __name__ == "__main__":
    main()
