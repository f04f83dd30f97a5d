"""The rules on the event bus that `template.yaml` and `docs/integrations.md` have, read from there."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml
from programs import ROOT

SNIPPET = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as !Ref, as what they are applied to."""


def short_form(loader: yaml.Loader, _tag: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", short_form)


@dataclass(frozen=True)
class Target:
    """One target of one rule."""

    rule: str
    pattern: dict
    properties: dict

    @property
    def transformer(self) -> dict | None:
        return self.properties.get("InputTransformer")


def snippets() -> dict[str, str]:
    """The CloudFormation templates in the document, by their descriptions."""
    texts = SNIPPET.findall((ROOT / "docs/integrations.md").read_text())
    return {yaml.load(text, Loader)["Description"]: text for text in texts}


def targets(template: str) -> list[Target]:
    """The targets of all rules in a template."""
    resources = yaml.load(template, Loader)["Resources"]
    rules = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::Events::Rule"}
    return [Target(name, rule["EventPattern"], target) for name, rule in rules.items() for target in rule["Targets"]]


def all_targets() -> dict[str, Target]:
    """Every target of every rule, of the stack and of the document."""
    stack = {f"template.yaml {each.rule}": each for each in targets((ROOT / "template.yaml").read_text())}
    documented = {f"{title} {each.rule}": each for title, text in snippets().items() for each in targets(text)}
    return {**stack, **documented}
