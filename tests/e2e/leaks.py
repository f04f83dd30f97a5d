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
        event["message"]
        for group in logs.describe_log_groups()["logGroups"]
        for stream in logs.describe_log_streams(logGroupName=group["logGroupName"])["logStreams"]
        for event in logs.get_log_events(logGroupName=group["logGroupName"], logStreamName=stream["logStreamName"])["events"]
    )


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
