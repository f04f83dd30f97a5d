"""Asks the renewer and prints its report: `make ask ACTION=...`, and `make check`, by which it looks at every link of the chain.

Without more it asks the local stack that `make demo KEEP=1` leaves up. With STACK_NAME in the environment it asks that stack in
AWS, with the credentials and the Region of whoever runs it. A run may take minutes: `sam remote invoke` gives up after one, and then asks
again while the first run goes on. This waits as long as the function may run, and asks once. It ends with 0 if the report says that
all is well, and with 1 otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from stack import Failed, load
from tools import environment

ACTIONS = ("check", "reconcile", "monitor", "drill", "rotate")
# What a drill can be asked to name, by the variables of `make ask`.
OF_DRILLS = ("TOPIC", "POLICY", "CITY", "SITE")
# What a rotation can be asked for, by a variable of `make ask`.
OF_ROTATIONS = ("LEAKED",)
# The function is ended after 300 seconds.
PATIENCE = 310


def main() -> int:
    python = environment("client") / "python"
    if Path(sys.prefix) != python.parent.parent:
        # Only there is boto3.
        return subprocess.run([str(python), __file__]).returncode
    event = wanted(os.environ.get("ACTION") or "check", {name: os.environ.get(name) or None for name in (*OF_DRILLS, *OF_ROTATIONS)})
    stack = os.environ.get("STACK_NAME")
    report = in_aws(stack, event) if stack else locally(event)
    for line in lines(report):
        print(line)
    return 0 if report["ok"] else 1


def wanted(action: str, named: dict[str, str | None]) -> dict:
    """The event that asks for it. The renewer would count another one as an error of its own, which rings an alarm."""
    if action not in ACTIONS:
        raise Failed(f"There is no action {action}; there are {', '.join(ACTIONS)}.")
    given = {name: value for name, value in named.items() if value}
    if action == "rotate" and given.get("LEAKED") in ("true", "false"):
        given["LEAKED"] = given["LEAKED"] == "true"
    elif "LEAKED" in given:
        raise Failed("LEAKED is true or false, and for rotate only.")
    if named_for_drills := [name for name in given if name in OF_DRILLS and action != "drill"]:
        raise Failed(f"{', '.join(named_for_drills)}: for drills only, and not for {action}.")
    return {"action": action} | {name.lower(): value for name, value in given.items()}


def lines(report: dict) -> list[str]:
    """Checks and drills have a table for people; other reports are read as they are."""
    return report["table"] if "table" in report else json.dumps(report, indent=2).splitlines()


def locally(event: dict) -> dict:
    from system import System

    try:
        return System(load()).renew(event)
    except RuntimeError as problem:
        raise Failed(str(problem)) from None


def in_aws(stack: str, event: dict) -> dict:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
        if "RenewerFunctionName" not in outputs:
            raise Failed(f"The stack {stack} has no output RenewerFunctionName: is it one of teams-emergency-alerts?")
        once = Config(read_timeout=PATIENCE, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        functions = boto3.client("lambda", config=once)
        answer = functions.invoke(FunctionName=outputs["RenewerFunctionName"], Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError) as problem:
        raise Failed(f"AWS cannot be asked: {problem}") from None
    if "FunctionError" in answer:
        raise Failed(f"The renewer failed: {payload.get('errorMessage', json.dumps(payload))}")
    return payload


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
