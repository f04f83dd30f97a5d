"""The programs that the tests compare: the Rust ones of this workspace, and Node."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from graph_judge import Opinion

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@cache
def rust(name: str) -> str:
    """The path of a program of the package `end-to-end`, built if it is not up to date."""
    command = ["cargo", "build", "--locked", "--quiet", "--package", "end-to-end", "--bin", name, "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == name)


def ask_rust(settings: dict[str, object], bodies: list[str]) -> list[list[Opinion] | None]:
    """What the Rust crate makes of each body; `None` for what is no notification."""
    questions = [{"body": body} for body in bodies]
    questions[0] = {**settings, **questions[0]}
    return [opinions(answer) for answer in lines_through([rust("notification-judge")], questions)]


def ask_for_token(question: dict[str, object]) -> dict:
    """The Rust crate's request for an access token, and what came of it."""
    done = subprocess.run([rust("token-client")], input=json.dumps(question), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def opinions(answer: dict) -> list[Opinion] | None:
    if not answer["ok"]:
        return None
    return [Opinion(item["verdict"], item["reason"], decoded(item["resource"])) for item in answer["items"]]


def decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


@cache
def node_program() -> str:
    """Node, installed into the tree where the machine has none."""
    found = shutil.which("node")
    if found:
        return found
    tools = [sys.executable, str(ROOT / "local" / "tools.py"), "node"]
    subprocess.run(tools, check=True)
    return str(ROOT / ".tools" / "node" / "bin" / "node")


def ask_node(requests: list[dict[str, object]]) -> list[dict]:
    return lines_through([node_program(), str(HERE / "graph_reference.mjs")], requests)


def lines_through(command: list[str], requests: list[dict]) -> list[dict]:
    """One line of JSON in for each request, one out."""
    text = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests), f"{len(answers)} answers to {len(requests)} questions"
    return answers
