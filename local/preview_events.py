"""What the template's rules on the event bus make of an alert: the event, whether a rule matches it, and what its target gets.

Written after AWS's pages on event patterns and input transformation. Where those leave a way out, this takes the harder
reading, and of the patterns' language it knows only what the template uses: anything else is an error and no guess.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

SOURCE = "teams-emergency-alerts"
DETAIL_TYPE = "Emergency Call"

# Whole strings are found first, so that it is known which variables stand within one.
STRING_OR_VARIABLE = re.compile(r'"(?:[^"\\]|\\.)*"|<[^<>"\s]+>')
VARIABLE = re.compile(r"<([^<>\"\s]+)>")


class Unknown(Exception):
    """The template uses something of EventBridge that is not known here."""


@dataclass(frozen=True)
class Rule:
    """A rule of the template with one target."""

    name: str
    pattern: dict
    paths: dict[str, str]
    template: str

    def sends(self, event: dict) -> object | None:
        """What the target gets for an event, read as JSON; None where the rule does not match."""
        if not matches(self.pattern, event):
            return None
        text = transformed(self.paths, self.template, event)
        try:
            return json.loads(text)
        except ValueError as error:
            raise Unknown(f"{self.name} makes of an alert what is no JSON ({error}):\n{text}") from None


def rules(template: str, *names: str) -> list[Rule]:
    """The rules with these logical ids in the text of a CloudFormation template."""
    resources = read_yaml(template)["Resources"]
    found = []
    for name in names:
        properties = resources[name]["Properties"]
        [target] = properties["Targets"]
        transformer = target["InputTransformer"]
        found.append(Rule(name, properties["EventPattern"], transformer["InputPathsMap"], transformer["InputTemplate"]))
    return found


def read_yaml(text: str) -> dict:
    """A template as data. CloudFormation's functions stay what they are applied to: no rule that is looked at has any."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def untagged(loader: Loader, _: str, node: yaml.Node) -> object:
        if isinstance(node, yaml.ScalarNode):
            return loader.construct_scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True)

    Loader.add_multi_constructor("!", untagged)
    return yaml.load(text, Loader)


def event(document: dict) -> dict:
    """The event on the bus that carries an alert document."""
    return {
        "version": "0",
        "id": "00000000-0000-0000-0000-000000000000",
        "detail-type": DETAIL_TYPE,
        "source": SOURCE,
        "account": "123456789012",
        "time": document["receivedAt"],
        "region": "us-east-1",
        "resources": [],
        "detail": document,
    }


def matches(pattern: dict, event: dict) -> bool:
    """Whether an event pattern matches: equal values, and `exists`."""
    return all(field_matches(wanted, name in event, event.get(name)) for name, wanted in pattern.items())


def field_matches(wanted: object, there: bool, value: object) -> bool:
    if isinstance(wanted, dict):
        return isinstance(value, dict) and matches(wanted, value)
    if not isinstance(wanted, list):
        raise Unknown(f"an event pattern has {wanted!r} where a list belongs")
    return any(value_matches(each, there, value) for each in wanted)


def value_matches(wanted: object, there: bool, value: object) -> bool:
    if isinstance(wanted, dict):
        if wanted.keys() != {"exists"} or not isinstance(wanted["exists"], bool):
            raise Unknown(f"an event pattern has {wanted!r}, which is not known here")
        return wanted["exists"] == there
    # In Python, True equals 1.
    return there and value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def transformed(paths: dict[str, str], template: str, event: dict) -> str:
    """The template with its variables replaced. Values are not escaped, and what is missing or null leaves nothing."""
    values = {name: value_at(path, event) for name, path in paths.items()}

    def value(name: str) -> object:
        if name not in values:
            raise Unknown(f"the input template has a variable <{name}> without a path")
        return values[name]

    def in_string(found: re.Match) -> str:
        inserted = value(found[1])
        if isinstance(inserted, (dict, list)):
            raise Unknown(f"the input template has the object <{found[1]}> within a string")
        return plain(inserted)

    def replaced(found: re.Match) -> str:
        token = found[0]
        if token.startswith('"'):
            return VARIABLE.sub(in_string, token)
        inserted = value(token[1:-1])
        if isinstance(inserted, str):
            return f'"{inserted}"'
        return compact(inserted) if isinstance(inserted, (dict, list)) else plain(inserted)

    return STRING_OR_VARIABLE.sub(replaced, template)


def plain(value: object) -> str:
    """A value without quotation marks."""
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value)


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def value_at(path: str, event: dict) -> object:
    """The value at a path such as `$.detail.caller`; None where there is none."""
    if not re.fullmatch(r"\$(\.[A-Za-z0-9_-]+)+", path):
        raise Unknown(f"the path {path!r} is not known here")
    value: object = event
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value
