"""What must not be found in anything that a run leaves behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

# Access tokens, validation tokens, assertions: whatever is a JSON Web Token.
TOKEN = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}")


def secrets(system) -> dict[str, str]:
    """The secrets in AWS Secrets Manager, by what they are."""
    manager = system.client("secretsmanager")
    found = {}
    for each in manager.list_secrets()["SecretList"]:
        text = manager.get_secret_value(SecretId=each["ARN"]).get("SecretString", "")
        try:
            stored = json.loads(text)
        except ValueError:
            found[each["Name"]] = text
            continue
        for state in stored.get("clientStates", []):
            found[f"client state {state['id']}"] = state["value"]
        for key in [*stored.get("keys", []), *stored.get("certificates", [])]:
            found[f"private key in {each['Name']} of {key['createdAt']}"] = key["privateKey"][:40]
    return {what: value for what, value in found.items() if value}


def logged(system) -> str:
    """All that the functions and the API have written to CloudWatch's logs."""
    logs = system.client("logs")
    return "\n".join(
        message
        for group in pages(logs, "describe_log_groups", "logGroups")
        # Each start of a function has a stream of its own.
        for stream in pages(logs, "describe_log_streams", "logStreams", logGroupName=group["logGroupName"])
        for message in messages(logs, group["logGroupName"], stream["logStreamName"])
    )


def pages(client, operation: str, member: str, **asked: str) -> list[dict]:
    return [found for page in client.get_paginator(operation).paginate(**asked) for found in page[member]]


def messages(logs, group: str, stream: str) -> list[str]:
    found, token = [], None
    while True:
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
        found += [event["message"] for event in page["events"]]
        # At the end of a stream the token stays as it was.
        if not page["events"] or page.get("nextForwardToken") in (None, token):
            return found
        token = page["nextForwardToken"]


def places(system) -> dict[str, str]:
    """Everything that a run leaves behind, by where it is."""
    functions = [
        system.client("lambda").get_function_configuration(FunctionName=system.outputs[f"{name}FunctionName"])
        for name in ("Receiver", "Renewer")
    ]
    table = system.client("dynamodb").scan(TableName=system.resources["StateTable"])["Items"]
    assert table
    files = {log.name: log.read_text(errors="replace") for log in Path(system.description["directory"]).glob("*.log")}
    assert "deploy.log" in files
    return {
        "the functions' logs": logged(system),
        "the table": json.dumps(table, default=str),
        "the functions' environment": json.dumps([each["Environment"] for each in functions]),
        "the outputs": json.dumps(system.outputs),
        "the renewer's reports": "\n".join(system.reports),
        **files,
    }


def assert_nowhere(system, unwanted: dict[str, str]) -> None:
    """None of these values, and no token, is in any of the places."""
    for place, text in places(system).items():
        for what, value in unwanted.items():
            assert value not in text, f"{what} is in {place}"
        assert not TOKEN.search(text), f"a token is in {place}"
