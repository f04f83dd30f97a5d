"""Writes docs/faults.md from the fault matrix.

    python3 local/fault_document.py            writes it
    python3 local/fault_document.py --check    fails if it is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/faults.md"
sys.path.insert(0, str(ROOT / "tests/e2e"))

from fault_rows import CLOCK, IMPOSSIBLE, MODES, ROWS, Call, Row, Run  # noqa: E402

HEAD = """# What can go wrong, and what happens then

Every service that the two functions call, and every way in which it can fail. Each row is a test: it makes the fault happen on
the deployed template, behind a proxy that breaks AWS's answers and a simulator that breaks Microsoft's and retries as Graph does,
or, where another test is named, most often over fakes in virtual time. This document is written from the same data (`make faults`), and a test
fails if a row, a test or an alarm is missing.

Three things hold in every row:

- **No authentic call is lost** once the fault has ended and Graph has retried, for which it takes up to four hours. The only exception
  is a clock that is days off.
- **No forged notification alerts**: in each row of the receiver that names no other test, one from a stranger and one from somebody who
  knows the client state are sent, too.
- **What changes anything for people is seen**: a metric moves that has an alarm. Where no alarm is named, the row says why none is
  needed.

The ways to fail, as the tests make them:

- *is down*: connections are reset before anything is done;
- *refuses*, *throttles*: the service's own error for a missing permission, and for too many calls;
- *does not answer*: neither an answer nor an effect, for longer than anybody waits;
- *answers garbage*: status 200 and a page of HTML; *answers something else*: status 200 and a well-formed answer to another question;
- *does it, but the answer is lost*: it takes effect, and the connection is reset instead of an answer;
- *fails at first, then works*: fewer failures than there are attempts;
- *the function is killed*: its process gets SIGKILL while the call is under way.
"""

RECEIVER_HEAD = """
## The receiver

What Graph is answered comes within its three seconds, whatever hangs. Graph sends again what was not answered with 2xx: after ten seconds,
then after longer and longer pauses.

| What | fails so | Graph is answered | people get | afterwards | seen by |
|---|---|---|---|---|---|
"""

RENEWER_HEAD = """
## The renewer

A run that fails harms no call by itself: Graph goes on delivering for about an hour after the last renewal, and the next run is 15
minutes away. After each fault whose row names no other test, a call is made and raises its alert.

| What | fails so | the run | the next run | seen by |
|---|---|---|---|---|
"""

IMPOSSIBLE_HEAD = """
## What has no row

| What | fails so | why not |
|---|---|---|
"""

NUMBERS = {0: "nothing yet", 1: "the alert", 2: "the alert twice", 3: "the alert three times"}
AFTERWARDS = {1: "one alert in all", 2: "two alerts in all", 4: "four alerts in all"}
WITHOUT_ANSWER = {"unreachable": "nothing", "timedOut": "nothing in three seconds", "5xx": "5xx, by AWS for the function"}


def document() -> str:
    """The whole document."""
    left_out: dict[tuple[str, str, str], list[str]] = {}
    for (function, dependency, mode), why in IMPOSSIBLE.items():
        left_out.setdefault((function, dependency, why), []).append(MODES[mode])
    impossible = "".join(
        line(f"{function}: {dependency}", "any other way" if len(modes) > 4 else "; ".join(modes), why)
        for (function, dependency, why), modes in left_out.items()
    )
    return HEAD + RECEIVER_HEAD + table("receiver") + RENEWER_HEAD + table("renewer") + IMPOSSIBLE_HEAD + impossible


def line(*columns: str) -> str:
    return "| " + " | ".join(columns) + " |\n"


def table(function: str) -> str:
    """The rows of a function. What comes of several failures alike is one line."""
    merged: dict[tuple[str, ...], list[str]] = {}
    for row in ROWS:
        if row.function == function:
            merged.setdefault((row.dependency, row.variant, *outcome(row)), []).append(MODES[row.mode])
    return "".join(
        line(dependency, failure(dependency, variant, modes), *columns) for (dependency, variant, *columns), modes in merged.items()
    )


def failure(dependency: str, variant: str, modes: list[str]) -> str:
    """How it fails, in words. A clock can only be wrong."""
    if dependency == CLOCK:
        return variant
    return (f"{variant}: " if variant else "") + "; ".join(modes)


def outcome(row: Row) -> tuple[str, ...]:
    """What comes of a row, in the columns of its function's table."""
    if isinstance(row, Call):
        return answered(row), people(row), afterwards(row), seen(row)
    if isinstance(row, Run):
        return ending(row), "repairs what is left" if row.ends != "ok" else "renews", seen(row)
    path, _, name = row.test.partition("::")
    test = f"test: [{name.removeprefix('test_').replace('_', ' ')}](../{path})"
    if row.function == "receiver":
        answer, _, people_get = row.note.partition("; ")
        return answer, people_get, test, seen(row)
    return row.note, test, seen(row)


def answered(row: Call) -> str:
    return ", then ".join(WITHOUT_ANSWER.get(str(answer), str(answer)) for answer in row.answers)


def people(row: Call) -> str:
    return " or ".join(NUMBERS[count] for count in row.alerts) + ("" if row.verified else ", marked as not verified")


def afterwards(row: Call) -> str:
    again = "a repeated delivery alerts again: twice rather than never" if 1 in row.again else ""
    retried = row.answers[-1] != 202
    parts = ["Graph sends it again: " + " or ".join(AFTERWARDS[count] for count in row.total)] if retried else []
    return "; ".join(part for part in (*parts, row.note, again) if part) or "nothing is left to do"


def ending(row: Run) -> str:
    ends = {"ok": "is as ever", "problems": "reports the problem"}.get(row.ends, f"fails: {row.ends}")
    parts = [f"`{row.action}` {ends}"]
    if row.subscribed < 2:
        parts.append("a policy is without its subscription")
    return "; ".join([*parts, *([row.note] if row.note else [])])


def seen(row: Row) -> str:
    """The metrics that move and the alarms that watch them."""
    if row.unseen and not row.silence:
        return f"nothing: {row.unseen}"
    alarms = ", ".join(f"`{name}`" for name in (*row.alarms, *row.silence)) + (", if it lasts" if row.silence else "")
    metrics = ", ".join(f"`{name}`" for name in row.metrics)
    return f"{metrics} → {alarms}" if metrics else alarms


def main() -> None:
    text = document()
    if "--check" in sys.argv[1:]:
        if DOCUMENT.read_text() != text:
            sys.exit("docs/faults.md is not up to date: make faults")
    else:
        DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
