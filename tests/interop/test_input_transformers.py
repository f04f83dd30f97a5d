"""What input transformers make of alert documents, in the emulator's and in moto's reading of EventBridge.

EventBridge escapes nothing, so that a name with a quotation mark could spoil a page. The emulator escapes what stands alone; moto
puts everything in as it is, one after the other.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from functools import cache

import pytest
from jsonschema import Draft202012Validator
from moto.events.utils import EventTemplateParser
from programs import ROOT, lines_through, rust
from rules import Target, all_targets, snippets

TARGETS = all_targets()
TRANSFORMED = {name: target for name, target in TARGETS.items() if target.transformer}
SCHEMAS = ROOT / "tests/e2e/schemas"

# What may stand between quotation marks: never null, and without anything that needs escaping.
PLAIN = {
    "$.id", "$.time", "$.detail.audience", "$.detail.language", "$.detail.receivedAt", "$.detail.tenantId",
    *(f"$.detail.incident.{name}" for name in ("action", "key", "severity", "summary")),
    *(f"$.detail.{name}" for name in ("isTest", "isDrill", "verified", "degraded", "truncated")),
}
# What may stand alone: always an object, which EventBridge writes as JSON.
OBJECTS = {"$.detail.caller", "$.detail.location", "$.detail.chat", "$.detail.incident"}

HOSTILE = [
    'She said "help"', "back\\slash \\n \\u0000 \\", "two\nlines\r\nand\ttab", "<key>", "<summary> <caller>", "</script><b>", "🚒🔥 e\u0301",
    "\u202eright to left\u202c", "\u2028\u2029", "{{$.detail}} ${AWS::Region} %s", "", "'", "x" * 10_000, None,
]


@cache
def documents() -> list[dict]:
    """The documents of all sample calls in all languages, as the Rust crate makes them."""
    done = subprocess.run([rust("preview")], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return [each["document"] for each in json.loads(done.stdout)]


def spoiled(document: dict, text: str | None) -> dict:
    """The document with this text in every member that people fill, except where the schema promises plain text."""
    hostile = copy.deepcopy(document)
    for members in (hostile["caller"], hostile["location"]):
        for name in members:
            members[name] = text
    if text:
        hostile["chat"] |= {"title": text, "description": text}
    for name in ("callbackNumber", "mapUrl", "numberDialed", "eventType", "callId", "startedAt", "durationSeconds"):
        hostile[name] = None
    return hostile


def event(document: dict) -> dict:
    return {
        "id": "0f6d0b5e-0b5e-4b5e-8b5e-0b5e0f6d0b5e",
        "source": "teams-emergency-alerts",
        "detail-type": "Emergency Call",
        "time": "2026-01-01T00:00:00Z",
        "detail": document,
    }


def cases() -> list[tuple[str, dict]]:
    """Each transformer with each document that reaches its rule."""
    found = [*documents(), *(spoiled(documents()[0], text) for text in HOSTILE)]
    return [(name, document) for name, target in TRANSFORMED.items() for document in found if concerns(target, document)]


def concerns(target: Target, document: dict) -> bool:
    """Whether what the rule asks of the document is so; all rules here name single values."""

    def holds(asked: dict, given: dict) -> bool:
        return all(holds(value, given[name]) if isinstance(value, dict) else given[name] in value for name, value in asked.items())

    return holds(target.pattern.get("detail", {}), document)


def by_the_emulator(asked: list[tuple[str, dict]]) -> list[dict]:
    python = ROOT / ".tools/emulator/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, str(ROOT / "local/tools.py"), "emulator"], check=True)
    program = [str(python), str(ROOT / "tests/interop/ministack_transformer.py")]
    questions = [{"transformer": TRANSFORMED[name].transformer, "event": event(document)} for name, document in asked]
    return [json.loads(answer["text"]) for answer in lines_through(program, questions)]


def by_moto(asked: list[tuple[str, dict]]) -> list[dict]:
    return [
        EventTemplateParser.parse(
            TRANSFORMED[name].transformer["InputTemplate"],
            TRANSFORMED[name].transformer["InputPathsMap"],
            {**event(document), "ingestion-time": "2026-01-01T00:00:00Z"},
        )
        for name, document in asked
    ]


@pytest.mark.parametrize("name", TRANSFORMED)
def test_only_plain_text_stands_between_quotation_marks_and_only_objects_stand_alone(name):
    transformer = TRANSFORMED[name].transformer
    paths, template = transformer["InputPathsMap"], transformer["InputTemplate"]

    used = re.findall(r"<([^<>]+)>", template)
    texts = re.findall(r'"[^"]*"', template)
    quoted = {variable for text in texts for variable in re.findall(r"<([^<>]+)>", text)}

    assert set(used) == set(paths), "a variable is not defined, or not used"
    assert {paths[variable] for variable in quoted} <= PLAIN
    assert {paths[variable] for variable in set(used) - quoted} <= OBJECTS
    assert len(template) <= 8192


@pytest.mark.parametrize("name", TARGETS)
def test_history_that_is_replayed_alarms_nobody_and_what_is_not_delivered_is_kept(name):
    target = TARGETS[name]
    if name.startswith("Replayed calls"):
        assert target.pattern["replay-name"] == [{"exists": True}]
    else:
        assert target.pattern["replay-name"] == [{"exists": False}]
        assert target.properties["DeadLetterConfig"]["Arn"]


@pytest.mark.parametrize("apply", [by_the_emulator, by_moto])
def test_pagerduty_and_chat_get_what_their_schemas_say(apply):
    schemas = {
        "template.yaml PagerDutyRule": "pagerduty-events-v2.json",
        "template.yaml ChatRule": "amazon-q-custom-notification.json",
        "Test calls in chat TestsInChat": "amazon-q-custom-notification.json",
    }
    judges = {name: Draft202012Validator(json.loads((SCHEMAS / file).read_text())) for name, file in schemas.items()}
    asked = [(name, document) for name, document in cases() if name in judges]

    for (name, document), made in zip(asked, apply(asked), strict=True):
        if "PagerDuty" in name:
            # The connection adds it.
            made["routing_key"] = "k" * 32
        problems = [error.message for error in judges[name].iter_errors(made)]
        assert not problems, (name, problems, document)
    assert {name for name, _ in asked} == set(judges)


@pytest.mark.parametrize("apply", [by_the_emulator, by_moto])
def test_every_transformer_makes_json_of_every_document(apply):
    asked = cases()

    for (name, document), made in zip(asked, apply(asked), strict=True):
        assert isinstance(made, dict)
        assert document["incident"]["summary"] in json.dumps(made, ensure_ascii=False), name
    assert {name for name, _ in asked} == set(TRANSFORMED)


def test_nothing_of_a_document_is_lost_or_changed():
    asked = cases()

    for (name, document), made in zip(asked, by_the_emulator(asked), strict=True):
        incident = document["incident"]
        if name == "template.yaml PagerDutyRule":
            assert (made["event_action"], made["dedup_key"]) == (incident["action"], incident["key"])
            assert made["payload"]["severity"] == incident["severity"]
            details = made["payload"]["custom_details"]
            assert details["receivedAt"] == document["receivedAt"]
            assert (details["caller"], details["location"]) == (document["caller"], document["location"])
            assert details["drill"] == str(document["isDrill"]).lower()
        if name == "template.yaml ChatRule":
            assert made["content"] == document["chat"]
            assert made["metadata"]["threadId"] == incident["key"]


@pytest.mark.parametrize("title", snippets())
def test_every_snippet_in_the_document_is_a_sound_template(title, tmp_path):
    subprocess.run([sys.executable, str(ROOT / "local/tools.py"), "checks"], check=True)
    template = tmp_path / "snippet.yaml"
    template.write_text(snippets()[title])

    done = subprocess.run(
        [str(ROOT / ".tools/checks/bin/cfn-lint"), "--regions", "us-east-1", "--", str(template)], stdout=subprocess.PIPE, text=True
    )

    assert done.returncode == 0, done.stdout
