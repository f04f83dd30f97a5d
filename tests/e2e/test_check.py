"""The action `check` on the deployed stack: every link is looked at, and what is wrong is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import report
from preview_events import read_yaml
from stack import STACK_NAME, aws_environment

REPORT = Path(__file__).resolve().parents[2] / "local" / "report.py"
LINKS = {
    "credential", "roles", "app-settings", "signing-keys", "keyring", "encryption-certificate", "state-table", "subscription",
    "endpoint", "topic", "alarm",
}


def check(system) -> dict[tuple[str, str], dict]:
    report = system.renew({"action": "check"})
    assert report["ok"] == all(row["state"] != "failed" for row in report["rows"])
    return {(row["link"], row["subject"]): row for row in report["rows"]}


def failed(system) -> dict[str, str]:
    return {link: f"{row['finding']} {row['step']}" for (link, _), row in check(system).items() if row["state"] == "failed"}


@pytest.fixture
def all_filtered(system):
    """Every subscriber of AlertTopic has a filter policy."""
    sns = system.client("sns")
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=system.outputs["AlertTopicArn"])
    arns = [each["SubscriptionArn"] for page in pages for each in page["Subscriptions"]]

    def filtered(policy: dict) -> None:
        for arn in arns:
            sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue=json.dumps(policy))

    filtered({"eventType": [{"exists": True}]})
    yield
    filtered({})


@pytest.fixture
def roles(system):
    """The app's permissions; afterwards the app is as it should be again."""
    [application] = system.inspect("application")
    [principal] = application["tenants"].values()
    yield principal["roles"]
    system.control("application", roles=principal["roles"], disabled=False, secretExpired=False, assignmentRequired=False)


def test_every_link_of_the_chain_is_looked_at(system):
    rows = check(system)

    assert {link for link, _ in rows} == LINKS
    assert not [row for row in rows.values() if row["state"] == "failed"]
    assert len([link for link, _ in rows if link == "subscription"]) == 2
    # Those that tell OperationsTopic, and no others.
    assert not [row for row in rows.values() if "has no alarms" in row["finding"]]


def test_missing_consent_is_named(system, roles):
    system.control("application", roles=[])

    assert "consent" in failed(system)["roles"]


def test_an_expired_secret_is_named(system, roles):
    system.control("application", secretExpired=True)

    assert "ClientSecret has expired" in failed(system)["credential"]


def test_required_assignment_is_named_where_the_app_may_see_it(system, roles):
    system.control("application", roles=[*roles, "Application.Read.All"], assignmentRequired=True)

    assert "Assignment required" in failed(system)["app-settings"]


def test_a_topic_for_calls_where_everybody_has_a_filter_is_named(system, all_filtered):
    assert "Every confirmed subscriber has a filter policy" in failed(system)["topic"]
    report = system.renew({"action": "monitor"})
    assert "AllFiltered AlertTopic" in report["inTrouble"] and report["ok"]


def test_a_lost_subscription_is_named_and_a_check_changes_nothing(system):
    system.control("remove-subscription", policy="Warehouse")

    found = [failed(system), failed(system)]

    assert all(set(each) == {"subscription"} for each in found)
    assert [each["policy"] for each in system.inspect("subscriptions")] == ["Global"]
    system.renew()
    assert failed(system) == {}


def ask(system, **wanted: str) -> subprocess.CompletedProcess:
    environment = {**aws_environment(system.description["emulator"]), "STACK_NAME": STACK_NAME, "PATH": os.environ["PATH"], **wanted}
    return subprocess.run([sys.executable, str(REPORT)], env=environment, capture_output=True, text=True)


def test_whatever_is_asked_for_its_report_is_printed(system):
    told = {action: ask(system, ACTION=action) for action in ("reconcile", "monitor", "drill")}
    told["drill of calls"] = ask(system, ACTION="drill", TOPIC="AlertTopic", POLICY="Warehouse", CITY="Seattle", SITE="400 Pine Street")

    assert {what: seen.returncode for what, seen in told.items()} == dict.fromkeys(told, 0), told
    assert [json.loads(told[action].stdout)["action"] for action in ("reconcile", "monitor")] == ["reconcile", "monitor"]
    # Drills have a table, too.
    assert " TestTopic " in told["drill"].stdout and " AlertTopic " in told["drill of calls"].stdout


@pytest.mark.parametrize(
    "wanted", [{"ACTION": "explode"}, {"ACTION": "check", "TOPIC": "AlertTopic"}, {"ACTION": "reconcile", "CITY": "Seattle"}]
)
def test_what_there_is_not_is_not_asked_for(system, wanted: dict[str, str]):
    seen = ask(system, **wanted)

    assert (seen.returncode, seen.stdout) == (1, "")
    assert "There is no action" in seen.stderr or "for drills only" in seen.stderr


def test_a_report_is_waited_for_as_long_as_the_function_may_run():
    template = read_yaml((REPORT.parents[1] / "template.yaml").read_text())
    assert template["Resources"]["RenewerFunction"]["Properties"]["Timeout"] < report.PATIENCE


def test_what_people_see_is_a_table(system):
    seen = ask(system)

    assert seen.returncode == 0, seen.stderr
    assert all(any(f" {link} " in line for line in seen.stdout.splitlines()) for link in LINKS), seen.stdout
