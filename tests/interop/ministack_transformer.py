"""Applies input transformers as the AWS emulator does: JSON lines in, JSON lines out.

It runs in the environment of `local/requirements-emulator.txt`. A line has a `transformer` and an `event` as rules see it; the
answer has the `text` that the target would get.
"""

from __future__ import annotations

import json
import sys

from ministack.services import eventbridge


def transformed(transformer: dict, event: dict) -> str:
    view = eventbridge._pattern_event_view({
        "EventId": event["id"],
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "EventBusName": "bus",
        "Time": 1_700_000_000,
        "Resources": [],
        "Account": "000000000000",
        "Region": "us-east-1",
    })
    return eventbridge._apply_input_transformer(transformer, {"Name": "rule", "Arn": "arn"}, view)


for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps({"text": transformed(question["transformer"], question["event"])}), flush=True)
