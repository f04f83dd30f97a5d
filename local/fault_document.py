"""Writes docs/faults.md from the fault matrix (`make faults`)."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/faults.md"
sys.path.insert(0, str(ROOT / "tests/e2e"))

from fault_rows import CLOCK, IMPOSSIBLE, MODES, ROWS, Call, Row, Run  # noqa: E402

HEAD = """# What can go wrong, and what happens then

What the two functions call, what starts them, and every way in which each of these can fail. Each row is a test: it makes the fault
happen on the deployed template, behind a proxy that breaks AWS's answers and a simulator that breaks Microsoft's and retries as Graph
does, or, where another test is named, most often over fakes in virtual time. This document is written from the same data (`make faults`),
and a test fails if a row, a test or an alarm is missing.

An authentic call is never dropped silently, a forged one never passes for verified, and the system never stops working unnoticed. So three
things hold in every row, but for the exceptions that are named:

- **No authentic call is lost** once the fault has ended and Graph has retried, for which it takes up to four hours. There is one
  exception: while Graph lets no subscription be made for a policy that has none (*Graph, creating* and *Graph, validating the address*, "a
  policy is without its subscription"), it reports that policy's calls to nobody, then or later; the alarms say so. With
  `UnverifiedCalls=Reject` there is another: a clock of the receiver that is days off makes every token look too old or too new.
- **No forged notification alerts.** In each row of the receiver that names no other test, four that hold no proof of their sender are sent while
  the fault lasts, and again when it has ended: a guessed client state without a token, with one whose signature was changed, and with one of an invented
  key; and none at all with a token whose signature was changed. The rows of *Entra's signing keys* show what one proof does: while Entra cannot be
  asked, a token that names an unknown key may be genuine, and the right client state raises an alert that is marked as not verified
  ([what remains](../SECURITY.md#what-remains)).
- **What changes anything for people is seen**: a metric moves that has an alarm. Where no alarm is named, the row says why none is
  needed. A metric that moves does not always ring at once: [never deaf](never-deaf.md) says after how long.

The ways to fail, as the tests make them:

- *is down*: connections are reset before anything is done;
- *refuses*, *throttles*: the service's own error for a missing permission, and for too many calls;
- *does not answer*: neither an answer nor an effect, for longer than anybody waits;
- *answers garbage*: status 200 and a page of HTML; *answers something else*: status 200 and a well-formed answer to another question;
- *does it, but the answer is lost*: it takes effect, and the connection is reset instead of an answer;
- *fails at first, then works*: fewer failures than there are attempts;
- *the function ends*: the receiver's process gets SIGKILL while the call is under way; the renewer's run is dropped at that call, over fakes.
"""

RECEIVER_HEAD = """
## The receiver

What Graph is answered comes within its three seconds, whatever hangs: in each row that names no other test no attempt of Graph's was timed
out where the row does not say so, and [in virtual time](../functions/receiver/tests/handler.rs) every answer comes within 2.5 seconds
(`whatever_hangs_the_answer_comes_within_two_and_a_half_seconds`, `what_the_home_region_does_not_take_goes_the_second_way`). Graph sends
again what was not answered with 2xx: after some seconds, then after longer and longer pauses, for four hours.

| What | fails so | Graph is answered | people get | afterwards | seen by |
|---|---|---|---|---|---|
"""

RENEWER_HEAD = """
## The renewer

A run that fails harms no call by itself: Graph goes on delivering for about an hour after the last renewal, and the next run is 15
minutes away. After each fault whose row names no other test, a call is made and raises its alert, and after the next run one under the
policy whose subscription was missing.

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
            merged.setdefault((row.dependency, row.variant, *outcome(row)), []).append(row.fails or MODES[row.mode])
    return "".join(
        line(dependency, failure(dependency, variant, ways), *columns) for (dependency, variant, *columns), ways in merged.items()
    )


def failure(dependency: str, variant: str, ways: list[str]) -> str:
    """How it fails, in words. A clock can only be wrong."""
    if dependency == CLOCK:
        return variant
    return (f"{variant}: " if variant else "") + "; ".join(ways)


def outcome(row: Row) -> tuple[str, ...]:
    """What comes of a row, in the columns of its function's table."""
    if isinstance(row, Call):
        return answered(row), people(row), afterwards(row), seen(row)
    if isinstance(row, Run):
        return ending(row), row.then or ("repairs what is left" if row.ends != "ok" else "renews"), seen(row)
    path, _, name = row.test.partition("::")
    then = f"{row.then} (test: [{name.removeprefix('test_').replace('_', ' ').replace('[', ': ').removesuffix(']')}](../{path}))"
    if row.function == "receiver":
        answer, _, people_get = row.note.partition("; ")
        return answer, people_get, then, seen(row)
    return row.note, then, seen(row)


def answered(row: Call) -> str:
    return ", then ".join(WITHOUT_ANSWER.get(str(answer), str(answer)) for answer in row.answers)


def people(row: Call) -> str:
    return " or ".join(NUMBERS[count] for count in row.alerts) + ("" if row.verified else ", marked as not verified")


def afterwards(row: Call) -> str:
    twice = "twice rather than never" if row.verified else "as NOW VERIFIED"
    again = f"a repeated delivery alerts again: {twice}" if 1 in row.again else ""
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
    if row.unseen:
        return f"nothing: {row.unseen}"
    alarms = ", ".join(f"`{name}`" for name in (*row.alarms, *row.silence)) + (", if it lasts" if row.silence else "")
    metrics = ", ".join(f"`{name}`" for name in row.metrics)
    return f"{metrics} → {alarms}" if metrics else alarms


if __name__ == "__main__":
    DOCUMENT.write_text(document())
