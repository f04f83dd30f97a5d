"""Which calls of AWS the functions made: who, what, and on which resource, in the words of IAM policies.

What is not on a resource that a policy could name has the resource `*`, and what touches items of a table tells the kind of their
partition keys, which policies can bind.
"""

from __future__ import annotations

import json
import threading

# What IAM calls a service where that is not the name by which requests are signed, and an action where it is not the API's name.
SERVICES = {"monitoring": "cloudwatch"}
ACTIONS = {"sns:PublishBatch": "sns:Publish"}


class Calls:
    """The different calls so far."""

    def __init__(self) -> None:
        self._calls: set[tuple[str, str, str, str]] = set()
        self._lock = threading.Lock()

    def add(self, access_key: str, service: str, action: str, form: dict[str, str], body: bytes) -> None:
        """Remembers a call. `form` is the body of services that take forms."""
        asked = f"{SERVICES.get(service, service)}:{action}"
        document = {} if form else read(body)
        with self._lock:
            for resource in resources(form, document):
                self._calls.add((access_key, ACTIONS.get(asked, asked), resource, kind_of_items(document)))

    def all(self) -> list[dict[str, str]]:
        with self._lock:
            return [dict(zip(("accessKey", "action", "resource", "items"), call, strict=True)) for call in sorted(self._calls)]


def read(body: bytes) -> dict:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def resources(form: dict[str, str], document: dict) -> set[str]:
    """The names or ARNs of what a call is on."""
    buses = {entry["EventBusName"] for entry in document.get("Entries", []) if "EventBusName" in entry}
    named = {found for found in (form.get("TopicArn"), document.get("SecretId"), document.get("TableName")) if found}
    return buses | named or {"*"}


def kind_of_items(document: dict) -> str:
    """The beginning of the partition key that a call of DynamoDB names, up to `#`."""
    key = document.get("Key") or document.get("Item") or {}
    values = document.get("ExpressionAttributeValues", {}) if "KeyConditionExpression" in document else {}
    found = [value["S"] for value in [key.get("pk", {}), *values.values()] if "S" in value]
    return found[0].partition("#")[0] if found else ""
