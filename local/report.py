"""Lets the renewer check every link of the chain and prints what it found: `make check`.

Without more it asks the local stack that `make demo KEEP=1` leaves up. With STACK_NAME in the environment it asks that stack in
AWS, with the credentials and the Region of whoever runs it. It ends with 0 if nothing failed, and with 1 if something did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from stack import Failed, load
from tools import environment

EVENT = {"action": "check"}
# A check ends by itself before its function is ended, after 300 seconds.
PATIENCE = 310


def main() -> int:
    python = environment("client") / "python"
    if Path(sys.prefix) != python.parent.parent:
        # Only there is boto3.
        return subprocess.run([str(python), __file__]).returncode
    stack = os.environ.get("STACK_NAME")
    report = in_aws(stack) if stack else locally()
    for line in report["table"]:
        print(line)
    return 0 if report["ok"] else 1


def locally() -> dict:
    from system import System

    try:
        return System(load()).renew(EVENT)
    except RuntimeError as problem:
        raise Failed(str(problem)) from None


def in_aws(stack: str) -> dict:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
        if "RenewerFunctionName" not in outputs:
            raise Failed(f"The stack {stack} has no output RenewerFunctionName: is it one of teams-emergency-alerts?")
        functions = boto3.client("lambda", config=Config(read_timeout=PATIENCE, retries={"total_max_attempts": 1}))
        answer = functions.invoke(FunctionName=outputs["RenewerFunctionName"], Payload=json.dumps(EVENT))
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
