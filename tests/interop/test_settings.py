"""What the functions read from their environment is what the template puts there."""

from __future__ import annotations

import re

import pytest
from programs import ROOT
from rules import read_yaml

TEMPLATE = read_yaml((ROOT / "template.yaml").read_text())
FUNCTIONS = {"receiver": "ReceiverFunction", "renewer": "RenewerFunction"}
# AWS Lambda sets these itself.
BY_LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION"}


def given(function: str) -> dict:
    return TEMPLATE["Resources"][FUNCTIONS[function]]["Properties"]["Environment"]["Variables"]


def read(function: str) -> set[str]:
    """The names of variables in a function's configuration, its tests left out."""
    code = (ROOT / f"functions/{function}/src/config.rs").read_text().partition("#[cfg(test)]")[0]
    return set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', code)) - BY_LAMBDA


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_finds_every_variable_that_it_reads(function: str) -> None:
    assert read(function)
    assert read(function) <= given(function).keys()


def test_calls_with_one_proof_alert_unless_whoever_deploys_says_otherwise() -> None:
    parameter = TEMPLATE["Parameters"]["UnverifiedCalls"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("Alert", ["Alert", "Reject"])
    assert given("receiver")["UNVERIFIED_CALLS"] == "UnverifiedCalls"
