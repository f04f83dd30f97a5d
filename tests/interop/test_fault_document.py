"""The fault matrix is whole: every dependency fails in every way, every row has its test and its alarm, and the document says so."""

from __future__ import annotations

import re
import sys

import pytest
from programs import ROOT
from rules import read_yaml

sys.path.insert(0, str(ROOT / "tests/e2e"))

import fault_document  # noqa: E402
from fault_rows import IMPOSSIBLE, MODES, ROWS, Call, Run  # noqa: E402

RESOURCES = read_yaml((ROOT / "template.yaml").read_text())["Resources"]
ALARMS = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
WATCHED = {"receiver": {"ReceiverFunction", "HttpApi"}, "renewer": {"RenewerFunction", "DeadLetterQueue.QueueName"}}
RUST_TEST = r"#\[(?:tokio::)?test[^\]]*\]\s+(?:async )?fn {}\("
PYTHON_TEST = r"^def {}\("


def test_the_document_says_what_the_rows_say():
    assert fault_document.DOCUMENT.read_text() == fault_document.document(), "make faults"


def test_every_dependency_fails_in_every_way_or_it_is_said_why_not():
    have = {(row.function, row.dependency, row.mode) for row in ROWS}
    every = {(function, dependency, mode) for function, dependency, _ in have for mode in MODES}

    assert have | IMPOSSIBLE.keys() == every
    assert not have & IMPOSSIBLE.keys()


def test_no_row_is_there_twice():
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if not isinstance(row, Call | Run)], ids=lambda row: row.id)
def test_the_test_of_a_row_exists(row):
    path, _, name = row.test.partition("::")
    name, _, case = name.removesuffix("]").partition("[")
    pattern, text = PYTHON_TEST if path.endswith(".py") else RUST_TEST, (ROOT / path).read_text()

    assert re.search(pattern.replace("{}", re.escape(name)), text, re.MULTILINE), row.test
    assert not case or f'"{case}"' in text, row.test
    assert row.note and row.then, "what comes of it is said in words, too"


# What the receiver and a run of the renewer that fails do not print: the age of what is there, and what a filter counts in the access log.
NOT_PRINTED = {"SubscriptionSecondsRemaining", "ThrottledRequests"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_a_fault_changes_has_an_alarm(row):
    # Each row is either seen, or harmless for a reason that is given.
    assert bool(row.alarms or row.silence) != bool(row.unseen)
    for name in row.alarms:
        alarm = ALARMS[name]
        assert str(alarm["Dimensions"][0]["Value"]) in WATCHED[row.function]
        assert alarm["MetricName"] in {*row.metrics, *NOT_PRINTED} or alarm["Namespace"].startswith("AWS/")
    for name in row.silence:
        # On nothing at all, or on too little.
        assert ALARMS[name]["TreatMissingData"] == "breaching" or ALARMS[name]["ComparisonOperator"].startswith("LessThan")
    assert row.alarms or not row.metrics
