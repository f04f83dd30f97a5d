"""What the deployed roles allow, read from IAM: the template transformed, its conditions decided."""

from __future__ import annotations

import re

from finish import BATCH_POLICY
from system import System


def statements(system: System, role: str) -> list[dict]:
    """The statements of all policies of a role, without what only the emulator needs."""
    iam, name = system.client("iam"), system.resources[role]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    policies = set(iam.list_role_policies(RoleName=name)["PolicyNames"]) - {BATCH_POLICY}
    documents = [iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in sorted(policies)]
    found = [statement for document in documents for statement in document["Statement"]]
    assert all(statement["Effect"] == "Allow" for statement in found)
    return found


def granted(system: System, role: str) -> dict[str, set[str]]:
    """The actions that a role allows, each with its resources by their logical names."""
    found: dict[str, set[str]] = {}
    for statement in statements(system, role):
        for action in listed(statement["Action"]):
            found.setdefault(action, set()).update(logical(system, resource) for resource in listed(statement["Resource"]))
    return found


def logical(system: System, resource: str) -> str:
    """The logical name of what an ARN or a name means; what is not the stack's stays as it is."""
    # The name at the end of an ARN; a queue's physical id is an address that ends with it.
    names = {re.split(r"^https?://[^/]+/[^/]+/", physical)[-1]: name for name, physical in system.resources.items()}
    # Secrets Manager adds six characters of its own; a log group's streams are `:*`.
    ends = [tail for tail in names if re.search(rf"(^|[:/]){re.escape(tail)}(-[0-9A-Za-z]{{6}})?(:\*)?$", resource)]
    return names[max(ends, key=len)] if ends else resource


def listed(value: object) -> list:
    return value if isinstance(value, list) else [value]
