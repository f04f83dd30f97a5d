"""What the policy of a topic, a queue or an event bus says to a caller, and who may send to each of the stack's.

Written after the IAM User Guide ("Policy evaluation logic", "Condition operators", "AWS global condition context keys"). What the templates do
not use is an error and no guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

DENY, ALLOW, UNSAID = "deny", "allow", "unsaid"

AFFIRMATIVE = {
    "ArnEquals": fnmatchcase,
    "ArnLike": fnmatchcase,
    "StringEquals": lambda value, wanted: value == wanted,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}
NEGATED = {"ArnNotEquals": fnmatchcase}


class Unknown(Exception):
    """The policy uses something of IAM that is not known here."""


@dataclass(frozen=True)
class Caller:
    """Who makes a request: a principal with an ARN, or a service of AWS in its own name."""

    arn: str | None = None
    service: str | None = None
    # The condition keys that come with the request besides the principal's.
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def context(self) -> dict[str, str]:
        """The condition keys of its requests."""
        own = {} if self.service else {"aws:PrincipalArn": self.arn, "aws:PrincipalIsAWSService": "false"}
        return {**own, **self.keys}


def decision(statements: list[dict], caller: Caller, action: str, resource: str) -> str:
    """What a policy says: a deny is stronger than anything that the caller's own permissions say."""
    effects = {each["Effect"] for each in statements if applies(each, caller, action, resource)}
    return DENY if "Deny" in effects else ALLOW if "Allow" in effects else UNSAID


def applies(statement: dict, caller: Caller, action: str, resource: str) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    if unknown:
        raise Unknown(unknown)
    return (
        is_meant(statement["Principal"], caller)
        and action in listed(statement["Action"])
        and resource in listed(statement["Resource"])
        and all(met(operator, keys, caller.context) for operator, keys in statement.get("Condition", {}).items())
    )


def is_meant(principal: object, caller: Caller) -> bool:
    if principal in ("*", {"AWS": "*"}):
        return True
    if not isinstance(principal, dict) or set(principal) != {"Service"}:
        raise Unknown(principal)
    return caller.service in listed(principal["Service"])


def met(operator: str, keys: dict, context: dict[str, str]) -> bool:
    if operator not in AFFIRMATIVE | NEGATED:
        raise Unknown(operator)
    for key, wanted in keys.items():
        matches = key in context and any((AFFIRMATIVE | NEGATED)[operator](context[key], each) for each in listed(wanted))
        # A negated operator also matches where the key is missing.
        if matches == (operator in NEGATED):
            return False
    return True


def listed(value: object) -> list:
    return value if isinstance(value, list) else [value]


# Of each resource what is done to it, and by which of the callers. Everybody else is refused, whatever their own permissions say.
WHO_MAY = {
    "AlertTopic": ("sns:Publish", {"receiver", "renewer"}),
    "TestTopic": ("sns:Publish", {"receiver", "renewer"}),
    "OperationsTopic": ("sns:Publish", {"alarm"}),
    # By a rule of anybody's: EventBridge takes no condition on its source at a topic.
    "ChatTopic": ("sns:Publish", {"rule", "rule of others", "rule without keys", "bus"}),
    "EventBus": ("events:PutEvents", {"receiver", "renewer"}),
    "DeadLetterQueue": ("sqs:SendMessage", {"renewer", "scheduler", "rule"}),
    "UndeliveredCalls": ("sqs:SendMessage", {"rule", "bus"}),
}


@dataclass(frozen=True)
class Place:
    """Where a stack is, in the parts of ARNs."""

    partition: str
    region: str
    account: str
    stack: str
    bus: str

    def arn(self, service: str, rest: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"

    def identity(self, rest: str) -> Caller:
        return Caller(arn=f"arn:{self.partition}:iam::{self.account}:{rest}")

    def service(self, name: str, source: str) -> Caller:
        """A service that says that it is one and for what it acts, as IAM documents it."""
        return Caller(service=f"{name}.amazonaws.com", keys={
            "aws:PrincipalIsAWSService": "true",
            "aws:SourceArn": self.arn(name, source),
            "aws:SourceAccount": self.account,
        })


def callers(place: Place, roles: dict[str, str]) -> dict[str, Caller]:
    """Everybody who may ask: the stack's roles, services for this stack and for others, and whoever else is in the account."""
    return {
        **{name: Caller(arn=arn) for name, arn in roles.items()},
        "administrator": place.identity("role/Administrator"),
        "person": place.identity("user/person"),
        "root": place.identity("root"),
        "alarm": place.service("cloudwatch", f"alarm:{place.stack}-Some"),
        "alarm of others": place.service("cloudwatch", "alarm:other-Some"),
        "rule": place.service("events", f"rule/{place.bus}/some"),
        "rule of others": place.service("events", "rule/other/some"),
        "bus": place.service("events", f"event-bus/{place.bus}"),
        # EventBridge meets no condition at topics.
        "rule without keys": Caller(service="events.amazonaws.com"),
    }


def refused(statements: list[dict], caller: Caller, action: str, resource: str) -> bool:
    """Whether a caller is refused by this policy alone. A principal of the account needs a deny for that, as its own permissions may allow
    everything; a service has no other permissions."""
    said = decision(statements, caller, action, resource)
    return said != ALLOW if caller.service else said == DENY


def who_may(statements: list[dict], everybody: dict[str, Caller], action: str, resource: str) -> set[str]:
    """Those whom a policy does not refuse."""
    return {name for name, caller in everybody.items() if not refused(statements, caller, action, resource)}
