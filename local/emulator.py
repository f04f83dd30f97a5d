"""Starts the AWS emulator, and teaches its CloudFormation what our template needs.

Connections, API destinations, archives and policies of event buses are there in the emulator's EventBridge, but no template can make
them: it refuses what its CloudFormation has no handler for. The handlers here only call EventBridge. Nor does it take alarms on
formulas: it gets the metric in the formula, which is enough for what it does with alarms.

Two condition keys of IAM have AWS's values here: the emulator compares `aws:PrincipalArn` with the ARN of a role's session, and does not
know `aws:PrincipalIsAWSService`. It applies the policies of topics and queues, but not those of event buses.

It also refuses what a web page in the developer's browser could send, before the emulator sees it: the emulator answers any Host and Origin.

It runs in the environment of `requirements-emulator.txt` and takes ministack's environment variables.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Awaitable, Callable

from ministack import app as ministack
from ministack.core import iam_evaluator
from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

from browser_requests import refusal

CONNECTION = "AWS::Events::Connection"
DESTINATION = "AWS::Events::ApiDestination"
ARCHIVE = "AWS::Events::Archive"
BUS_POLICY = "AWS::Events::EventBusPolicy"
ALARM = "AWS::CloudWatch::Alarm"

SESSION = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+")

# Per type: the property and the API's member that hold the name, the name of the ARN in answers, and EventBridge's functions.
TYPES = {
    CONNECTION: {
        "name": "Name",
        "arn": "ConnectionArn",
        "create": eventbridge._create_connection,
        "update": eventbridge._update_connection,
        "delete": eventbridge._delete_connection,
    },
    DESTINATION: {
        "name": "Name",
        "arn": "ApiDestinationArn",
        "create": eventbridge._create_api_destination,
        "update": eventbridge._update_api_destination,
        "delete": eventbridge._delete_api_destination,
    },
    ARCHIVE: {
        "name": "ArchiveName",
        "arn": "ArchiveArn",
        "create": eventbridge._create_archive,
        "update": eventbridge._update_archive,
        "delete": eventbridge._delete_archive,
    },
}


def answer(type_name: str, response: tuple) -> dict:
    """What EventBridge answered; a refusal fails the deployment as it would on AWS."""
    status, _, body = response
    if status >= 400:
        raise ValueError(f"{type_name}: {body!r}")
    return json.loads(body) if body else {}


def request(type_name: str, name: str, properties: dict) -> dict:
    """The API's request for a resource with these properties; CloudFormation's differ in little."""
    asked = {**properties, TYPES[type_name]["name"]: name}
    if type_name == ARCHIVE:
        asked["EventSourceArn"] = asked.pop("SourceArn")
        if isinstance(asked.get("EventPattern"), dict):
            asked["EventPattern"] = json.dumps(asked["EventPattern"])
    # Parameters are text in templates.
    for number in ("RetentionDays", "InvocationRateLimitPerSecond"):
        if number in asked:
            asked[number] = int(asked[number])
    return asked


def attributes(type_name: str, name: str, answered: dict) -> dict:
    named = {"ArchiveName": name} if type_name == ARCHIVE else {}
    return {"Arn": answered[TYPES[type_name]["arn"]], **named}


def handlers(type_name: str) -> dict:
    """How the emulator's CloudFormation creates, changes and deletes resources of this type."""
    kind = TYPES[type_name]

    def create(logical_id: str, properties: dict, stack_name: str) -> tuple[str, dict]:
        name = properties.get(kind["name"]) or provisioners._physical_name(stack_name, logical_id, max_len=48)
        return name, attributes(type_name, name, answer(type_name, kind["create"](request(type_name, name, properties))))

    def update(name: str, _old: dict, properties: dict, _stack_name: str) -> tuple[str, dict]:
        return name, attributes(type_name, name, answer(type_name, kind["update"](request(type_name, name, properties))))

    def delete(name: str, _properties: dict) -> None:
        # What is gone already needs no deleting.
        kind["delete"]({kind["name"]: name})

    return {"create": create, "update": update, "delete": delete}


def bus_policy_handlers() -> dict:
    """Statements of an event bus's policy, kept where EventBridge's own PutPermission keeps its."""

    def statements(properties: dict) -> list[dict]:
        return eventbridge._event_bus_policies.setdefault(properties["EventBusName"], {"Version": "2012-10-17", "Statement": []})["Statement"]

    def delete(_name: str, properties: dict) -> None:
        kept = [each for each in statements(properties) if each["Sid"] != properties["StatementId"]]
        eventbridge._event_bus_policies[properties["EventBusName"]]["Statement"] = kept

    def create(_logical_id: str, properties: dict, _stack_name: str) -> tuple[str, dict]:
        statements(properties).append({"Sid": properties["StatementId"], **properties["Statement"]})
        return f"{properties['EventBusName']}|{properties['StatementId']}", {}

    def update(name: str, old: dict, properties: dict, stack_name: str) -> tuple[str, dict]:
        delete(name, old)
        return create("", properties, stack_name)

    return {"create": create, "update": update, "delete": delete}


def as_aws_resolves(resolve):
    """The emulator's lookup of condition keys, with AWS's values for those that it gets wrong."""

    def resolved(key: str, context: iam_evaluator.EvalContext) -> object:
        name, session = key.lower(), SESSION.fullmatch(context.principal_arn)
        if name == "aws:principalarn" and session:
            return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"
        if name == "aws:principalisawsservice":
            return str(context.principal_type == "Service").lower()
        return resolve(key, context)

    return resolved


def on_one_metric(properties: dict) -> dict:
    """An alarm's properties with the metric of its formula in the formula's place."""
    if "Metrics" not in properties:
        return properties
    [stat] = [each["MetricStat"] for each in properties["Metrics"] if "MetricStat" in each]
    others = {name: value for name, value in properties.items() if name != "Metrics"}
    return {**others, **stat["Metric"], "Period": stat["Period"], "Statistic": stat["Stat"]}


def alarm_handlers(emulators: dict) -> dict:
    """The emulator's own handlers of alarms, which get no formulas to see."""

    def create(logical_id: str, properties: dict, stack_name: str) -> tuple[str, dict]:
        return emulators["create"](logical_id, on_one_metric(properties), stack_name)

    def update(name: str, old: dict, properties: dict, *more: object, **named: object) -> tuple[str, dict]:
        return emulators["update"](name, on_one_metric(old), on_one_metric(properties), *more, **named)

    return {**emulators, "create": create, "update": update}


Application = Callable[[dict, Callable, Callable], Awaitable[None]]


def guarded(application: Application, ports: set[int]) -> Application:
    """The same ASGI application behind the check of `browser_requests`."""

    async def guard(scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await application(scope, receive, send)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        reason = refusal(headers, ports)
        if reason is None:
            return await application(scope, receive, send)
        if scope["type"] == "websocket":
            # Before it is accepted, this answers the handshake with 403.
            return await send({"type": "websocket.close", "code": 1008})
        answer = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 403, "headers": answer})
        await send({"type": "http.response.body", "body": json.dumps({"message": reason}).encode()})

    return guard


def ports_in(environment: dict[str, str]) -> set[int]:
    """The emulator's own port, and the proxy's, which passes on the Host that its callers have signed."""
    addressed = urllib.parse.urlsplit(environment.get("AWS_ENDPOINT_URL", "")).port
    return {int(environment["GATEWAY_PORT"])} | ({addressed} if addressed else set())


if __name__ == "__main__":
    # `main` serves what the module has by this name.
    ministack.app = guarded(ministack.app, ports_in(dict(os.environ)))
    # A version that knows a type itself keeps its own way.
    for each in TYPES:
        provisioners._RESOURCE_HANDLERS.setdefault(each, handlers(each))
    provisioners._RESOURCE_HANDLERS.setdefault(BUS_POLICY, bus_policy_handlers())
    iam_evaluator._resolve_condition_key = as_aws_resolves(iam_evaluator._resolve_condition_key)
    provisioners._RESOURCE_HANDLERS[ALARM] = alarm_handlers(provisioners._RESOURCE_HANDLERS[ALARM])
    ministack.main()
