"""The rules on the event bus that `template.yaml` and `docs/integrations.md` have, read from there."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from programs import ROOT

sys.path.insert(0, str(ROOT / "local"))

from preview_events import read_yaml  # noqa: E402

SNIPPET = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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
    return {read_yaml(text)["Description"]: text for text in texts}


def targets(template: str) -> list[Target]:
    """The targets of all rules in a template."""
    resources = read_yaml(template)["Resources"]
    rules = {name: each["Properties"] for name, each in resources.items() if each["Type"] == "AWS::Events::Rule"}
    return [Target(name, rule["EventPattern"], target) for name, rule in rules.items() for target in rule["Targets"]]


def all_targets() -> dict[str, Target]:
    """Every target of every rule, of the stack and of the document."""
    stack = {f"template.yaml {each.rule}": each for each in targets((ROOT / "template.yaml").read_text())}
    documented = {f"{title} {each.rule}": each for title, text in snippets().items() for each in targets(text)}
    return {**stack, **documented}
