"""Thousands of spoiled notifications through the Rust crate and through the Python judge: they must agree on each item.

A run prints its seed, and `INTEROP_SEED` repeats its mutations (its keys are always new). `INTEROP_CASES` makes it longer.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import dataclass

import pytest

import mutations
import programs
import scene
from graph_judge import Opinion
from mutations import MUTATIONS, Mutation

CASES = int(os.environ.get("INTEROP_CASES", "4000"))


@dataclass(frozen=True)
class Rule:
    """A difference that is known: by which mutation, what each side says, and why."""

    rust: str
    python: str
    why: str

    def allows(self, rust: str, python: str) -> bool:
        return rust in self.rust.split() and python in self.python.split()


VERDICTS = ("verified", "verifiedWithoutDetails", "unverified", "notTold", "ignored", "lifecycle", "lifecycleUnknown", "malformed", "400")

EXPLAINED = {
    "very_long_token": Rule("unverified notTold ignored", "verified verifiedWithoutDetails unverified notTold", "Rust reads no token over 16 KiB; Entra's have about 1.5 kB"),
    "text_is_nested_deeply": Rule("400", "verified verifiedWithoutDetails unverified notTold ignored lifecycle lifecycleUnknown malformed empty", "Rust reads 128 levels of JSON"),
    "wrapped_key_without_its_leading_zero": Rule("verified unverified", "verifiedWithoutDetails notTold", "OpenSSL reads the number, Python counts its bytes"),
}


@dataclass(frozen=True)
class Case:
    names: tuple[str, ...]
    body: str


@dataclass(frozen=True)
class Compared:
    case: Case
    rust: list[Opinion] | None
    python: list[Opinion] | None

    def agree(self) -> bool:
        return outcomes(self.rust) == outcomes(self.python)

    def explained_by(self) -> set[str]:
        """The rules that together allow every difference between the two; none if a difference is left."""
        differing = [each for each in zip(self.verdicts(self.rust), self.verdicts(self.python)) if each[0] != each[1]]
        rules = {name: EXPLAINED[name] for name in self.case.names if name in EXPLAINED}
        if not differing or not all(any(rule.allows(*each) for rule in rules.values()) for each in differing):
            return set()
        return {name for name, rule in rules.items() if any(rule.allows(*each) for each in differing)}

    def verdicts(self, opinions: list[Opinion] | None) -> list[str]:
        """Of each item; 400 counts for every item that the other side sees."""
        if opinions is None:
            return ["400"] * max(1, len(self.rust or self.python or []))
        return [opinion.verdict for opinion in opinions] or ["empty"]


def outcomes(opinions: list[Opinion] | None) -> list[tuple[str, bytes | None]] | None:
    return None if opinions is None else [(opinion.verdict, opinion.resource) for opinion in opinions]


def case(rng: random.Random, chosen: list[Mutation], items: int) -> Case:
    """A good notification, spoiled by the chosen mutations."""
    draft = mutations.good_draft(rng, items)
    applied = [each for each in chosen if each.stage == "draft" and attempt(each, rng, draft)]
    collection = draft.collection()
    applied += [each for each in chosen if each.stage == "collection" and attempt(each, rng, collection)]
    text = json.dumps(collection, ensure_ascii=rng.random() < 0.5)
    for each in chosen:
        if each.stage == "text":
            text = each.apply(rng, text)
            applied.append(each)
    return Case(tuple(each.name for each in applied), text)


def attempt(each: Mutation, rng: random.Random, what: object) -> bool:
    """Whether a mutation found what it changes: one before it may have taken that away."""
    try:
        each.apply(rng, what)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return False
    return True


def compare(cases: list[Case], unverified_calls: str = "Alert") -> list[Compared]:
    pairs = mutations.pairs()
    rust = programs.ask_rust(scene.settings(pairs, unverified_calls), [each.body for each in cases])
    judge = scene.judge(pairs, unverified_calls)
    return [Compared(each, answer, judge.judge(each.body)) for each, answer in zip(cases, rust)]


def verdict(opinions: list[Opinion] | None) -> str:
    """The last item's: mutations that add an item put it before the others, or repeat one."""
    return "400" if opinions is None else opinions[-1].verdict if opinions else "empty"


def any_case(rng: random.Random) -> Case:
    chosen = rng.sample(MUTATIONS, rng.choice([0, 1, 1, 1, 1, 2, 2, 3]))
    return case(rng, chosen, items=rng.choice([1, 1, 2, 3]))


def described(difference: Compared) -> str:
    both = [[(each.verdict, each.reason) for each in side or []] or "400" for side in (difference.rust, difference.python)]
    return f"{difference.case.names}: Rust {both[0]}, Python {both[1]}\n{difference.case.body}"


@pytest.fixture(scope="module")
def single(seed: str) -> list[tuple[Mutation, Compared]]:
    """Each mutation with a certain outcome, twelve times and alone."""
    rng = random.Random(f"{seed} single")
    certain = [each for each in MUTATIONS if each.outcome for _ in range(12)]
    return list(zip(certain, compare([case(rng, [each], items=1) for each in certain])))


@pytest.fixture(scope="module")
def mixed(seed: str) -> list[Compared]:
    rng = random.Random(f"{seed} mixed")
    cases = [any_case(rng) for _ in range(CASES)]
    return compare(cases[::2]) + compare(cases[1::2], "Reject")


def test_one_mutation_alone_has_its_certain_outcome(single: list[tuple[Mutation, Compared]]) -> None:
    for mutation, result in single:
        assert result.case.names == (mutation.name,), f"{mutation.name} found nothing to change"
        if verdict(result.python) != mutation.outcome:
            pytest.fail(f"Python, not {mutation.outcome}: {described(result)}", pytrace=False)
        if verdict(result.rust) != mutation.outcome and mutation.name not in result.explained_by():
            pytest.fail(f"Rust, not {mutation.outcome}: {described(result)}", pytrace=False)


def test_rust_and_python_agree(mixed: list[Compared]) -> None:
    unexplained = [each for each in mixed if not each.agree() and not each.explained_by()]
    if unexplained:
        pytest.fail(f"{len(unexplained)} differences, such as {described(unexplained[0])}", pytrace=False)


def test_every_rule_explains_a_difference(single: list[tuple[Mutation, Compared]]) -> None:
    used = set().union(*(result.explained_by() for _, result in single))
    assert used == set(EXPLAINED), "a rule that explains nothing any more must go"


def test_the_cases_reach_every_verdict_and_mutation(mixed: list[Compared]) -> None:
    """A comparison that only ever sees rejections would agree on everything."""
    seen = Counter(verdict for each in mixed for verdict in each.verdicts(each.python))
    assert min(seen[each] for each in VERDICTS) >= CASES // 200, seen
    assert {name for each in mixed for name in each.case.names} == {each.name for each in MUTATIONS}
