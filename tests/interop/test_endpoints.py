"""Secrets go to known hosts: what the template lets its endpoints be, and that both functions are told whether others are allowed."""

from __future__ import annotations

import re

import pytest
from programs import ROOT
from rules import read_yaml

TEMPLATE = read_yaml((ROOT / "template.yaml").read_text())
PARAMETERS = TEMPLATE["Parameters"]


def allowed(parameter: str, value: str) -> bool:
    return re.fullmatch(PARAMETERS[parameter]["AllowedPattern"], value) is not None


@pytest.mark.parametrize(
    "address",
    ["https://events.pagerduty.com/v2/enqueue", "https://events.eu.pagerduty.com/v2/enqueue", "http://127.0.0.1:4566/_local/pagerduty"],
)
def test_pagerdutys_own_addresses_and_this_machines_are_taken(address):
    assert allowed("PagerDutyEndpoint", address)


@pytest.mark.parametrize(
    "address",
    [
        "https://events.pagerduty.com.evil.example/v2/enqueue",
        "https://events.example/v2/enqueue",
        "https://events-pagerduty.com/v2/enqueue",
        "http://events.pagerduty.com/v2/enqueue",
        "https://events.pagerduty.com:8443/v2/enqueue",
        "https://x@events.pagerduty.com/v2/enqueue",
        "http://localhost.evil.example/v2/enqueue",
        "http://localhost@evil.example/v2/enqueue",
        "http://127.0.0.1.evil.example/",
    ],
)
def test_no_other_address_gets_pagerdutys_key(address):
    assert not allowed("PagerDutyEndpoint", address)


def test_other_hosts_of_microsofts_need_a_parameter_that_both_functions_read():
    assert PARAMETERS["AllowOtherEndpoints"]["Default"] == "false"
    assert PARAMETERS["AllowOtherEndpoints"]["AllowedValues"] == ["false", "true"]
    for function in ("ReceiverFunction", "RenewerFunction"):
        variables = TEMPLATE["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert variables["ALLOW_OTHER_ENDPOINTS"] == "AllowOtherEndpoints"


def test_the_renewer_knows_its_stack_and_may_move_the_stage_of_its_secrets():
    resources = TEMPLATE["Resources"]
    assert resources["RenewerFunction"]["Properties"]["Environment"]["Variables"]["STACK_ID"] == "AWS::StackId"
    statements = resources["RenewerRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    [keep] = [each for each in statements if isinstance(each, dict) and each.get("Sid") == "KeepKeyring"]
    assert "secretsmanager:UpdateSecretVersionStage" in keep["Action"]
