"""Nothing falls silent unnoticed: whatever breaks, in simulated time, rings an alarm of the template that says what to do.

The program `silence` lets the code of both functions live through it and prints all metrics; `alarms` evaluates the alarms.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache

import pytest
from alarms import ALARM, NO_DATA, OK, Alarm, Unknown, Values, alarm, alarms, embedded, evaluated, rings, series, states, values
from programs import ROOT, rust
from rules import read_yaml

TEMPLATE = read_yaml((ROOT / "template.yaml").read_text())
RESOURCES, PARAMETERS = TEMPLATE["Resources"], TEMPLATE["Parameters"]
ALARMS = {each.name: each for each in alarms(RESOURCES, PARAMETERS)}
GUIDE = (ROOT / "docs/never-deaf.md").read_text()

# How soon somebody must learn of it, in minutes.
SOON = 15
# After that time alarms have data to go by.
SETTLED = 20 * 60

# What rings, by what breaks. All that is named must ring within 15 minutes, or within those that stand beside it; of the rest of the
# alarms any may ring, too, where more than one thing is wrong then.
EXPECTED: dict[str, dict[str, int]] = {
    "graph removes a subscription": {"SubscriptionsLost": SOON},
    "graph removes a subscription, and the renewer comes soon": {"SubscriptionsLost": SOON},
    "graph removes a subscription and takes no other": {"SubscriptionsRunningOut": SOON, "RenewerErrors": 18, "NewProblems": SOON},
    "graph is down": {"WatchBlind": SOON, "RenewerErrors": 18, "NewProblems": SOON},
    "entra refuses": {"WatchBlind": SOON, "RenewerErrors": 18, "NewProblems": SOON},
    # Graph delivers for an hour after the last renewal. One that fails alarms nobody: the next one is in time. From the metric of the
    # renewer the second failure is known at once, from what Graph shows at the look after it.
    "graph renews all but one": {"RenewalsFailing": 35, "NewProblems": 40},
    "the renewer's function is broken": {"WatchMissing": SOON, "ProbesMissing": SOON, "RenewerErrors": SOON, "DeadLetters": SOON},
    "the renewer's schedule is disabled": {"ReconcileOverdue": SOON},
    "the monitor's schedule is disabled": {"WatchMissing": SOON, "ProbesMissing": SOON},
    "both schedules are disabled": {"WatchMissing": SOON, "ProbesMissing": SOON},
    "the state table is down": {"WatchBlind": SOON},
    "the keyring is lost": {"WatchBlind": SOON, "NewProblems": SOON},
    "the keyring is spoilt": {"WatchBlind": SOON, "NewProblems": SOON},
    "a topic is gone": {"WatchBlind": SOON, "NewProblems": SOON},
    # The stored ones do for days.
    "entra gives out no signing keys": {"RenewerProblems": 70},
    "the receiver's function is broken": {
        "ReceiverErrors": SOON, "NotificationsRefused": SOON, "EndpointUnreachable": SOON, "ProbesMissing": SOON,
    },
    "the receiver is throttled": {"ReceiverThrottled": SOON, "EndpointUnreachable": SOON, "ProbesMissing": SOON},
    "the receiver is slow": {"AnswersSlow": SOON},
    "the gateway answers 500": {"NotificationsRefused": SOON, "EndpointUnreachable": SOON, "ProbesMissing": SOON},
    "the address cannot be reached": {"EndpointUnreachable": SOON, "ProbesMissing": SOON, "NewProblems": SOON},
    # Twice within 20 minutes.
    "the address answers every other probe": {"EndpointUnreachable": 25, "NewProblems": 25},
    "entra refuses every other time": {"WatchBlind": 25, "NewProblems": 25},
    "the receiver starts anew and may not read the keyring": {"ProbesMissing": SOON, "KeyringOutOfReach": SOON},
    # What it held in memory serves on.
    "the receiver may no longer read the keyring": {"KeyringOutOfReach": SOON},
    "the receiver has no key": {"KeyringOutOfReach": SOON},
    "sns takes no alert": {"NotificationsRefused": SOON},
    "sns at home takes no alert": {"SecondWayUsed": SOON},
    "every subscriber has a filter": {"NobodyHearsAlerts": SOON, "NewProblems": SOON},
    "every subscriber of the second way has a filter": {"NobodyHearsSecondWay": SOON, "NewProblems": SOON},
    "nobody hears the second way": {"NobodyHearsSecondWay": SOON, "NewProblems": SOON},
    "no chat channel is left": {"NobodyHearsChat": SOON, "NewProblems": SOON},
    "the bus takes no call": {"CallEventsLost": SOON},
    "the receiver's table is down": {"StateTableFailing": SOON},
    "graph encrypts for a lost key": {"DegradedAlerts": SOON},
    "a token is signed with a new key, and entra is down": {"UnverifiedAlerts": SOON},
    "graph sends no tokens, and the key is lost": {"RejectedWithClientState": SOON},
    "the keyring lacks the client state and the key that graph has": {"RejectedWithToken": SOON},
    "a call comes late": {"LateAlerts": SOON},
    "many forgeries": {"ManyRejected": SOON},
    "many requests that are no notifications": {"ManyRefused": SOON},
    "the gateway answers 429": {"GatewayThrottled": SOON},
    "the client secret ends in 30 days": {"CredentialEnding": SOON, "NewProblems": SOON},
    "nobody has called for many days": {"LongSilence": SOON},
    "the stored signing keys are a day old": {"SigningKeysOld": SOON, "NewProblems": SOON},
    "a subscriber leaves": {"SubscribersLost": SOON},
    "the last subscriber leaves": {"SubscribersLost": SOON, "NobodyHearsAlerts": SOON, "NewProblems": SOON},
    "nobody hears the alarms any more": {"NobodyHearsAlarms": SOON},
    # From when AWS counts it: Amazon SNS tries for hours before, EventBridge for half an hour.
    "a subscriber is not reached": {"SubscribersNotReached": SOON},
    "chat is not reached": {"ChatNotReached": SOON},
    "a subscriber to alarms is not reached": {"OperationsNotReached": SOON},
    "a rule's target takes no call": {"CallsNotDelivered": SOON},
    "pagerduty takes no call": {"PagerDutyNotTold": SOON},
    "pagerduty is not called": {"PagerDutyFailing": SOON},
    "what pagerduty does not take is lost": {"PagerDutyCallsLost": SOON},
    "the topic for chat takes no call": {"ChatNotTold": SOON},
    "the topic for chat is not called": {"ChatFailing": SOON},
    "what the topic for chat does not take is lost": {"ChatCallsLost": SOON},
}
# These alarm nobody.
HARMLESS = ("nothing breaks", "a call", "a handful of forgeries", "five passes are lost", "one probe is lost")

# What breaks when something like it has been broken for hours: the alarms that are in alarm by then, and therefore silent, and how soon
# `NewProblems` rings in their place.
BESIDES: dict[str, tuple[set[str], int]] = {
    "graph removes another subscription": ({"SubscriptionsRunningOut", "RenewerErrors", "RenewalsFailing"}, SOON),
    "entra refuses in another tenant": ({"WatchBlind", "RenewalsFailing"}, SOON),
    "graph renews another subscription no longer": ({"RenewalsFailing"}, 40),
    "the keyring is lost besides": ({"WatchBlind", "RenewalsFailing"}, SOON),
    # Those who begin to hear alarms were told nothing of what is in alarm already.
    "somebody begins to hear alarms": ({"NobodyHearsAlerts"}, SOON),
}


@cache
def courses() -> dict[str, dict]:
    done = subprocess.run([rust("silence")], stdout=subprocess.PIPE, text=True, check=True)
    return {course["name"]: course for course in map(json.loads, done.stdout.splitlines())}


@cache
def rung(name: str) -> dict[str, list[int]]:
    """When each alarm went off, in seconds from what broke."""
    course = courses()[name]
    found = values(course["lines"], course["aws"])
    begin, end = course["began"] + SETTLED, course["ended"]
    times = {each.name: rings(each, found, begin, end) for each in ALARMS.values()}
    return {alarm_name: [at - course["broke"] for at in times] for alarm_name, times in times.items() if times}


def test_every_scenario_has_its_alarms() -> None:
    assert set(courses()) == EXPECTED.keys() | HARMLESS | BESIDES.keys()


def test_every_alarm_has_its_scenario() -> None:
    assert set(ALARMS) == {name for expected in EXPECTED.values() for name in expected}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_breaks_rings_in_time(name: str) -> None:
    times = rung(name)
    for expected, minutes in EXPECTED[name].items():
        assert expected in times, f"{expected} did not ring; what did: {times}"
        assert 0 <= times[expected][0] <= minutes * 60, f"{expected} rang after {times[expected][0]} s"


@pytest.mark.parametrize("name", BESIDES)
def test_what_breaks_besides_rings_although_its_alarm_cannot(name: str) -> None:
    silent, minutes = BESIDES[name]
    course = courses()[name]
    found = values(course["lines"], course["aws"])
    limit = course["broke"] + minutes * 60
    for each in silent:
        since = {state for now, state in states(ALARMS[each], found, course["began"] + SETTLED, limit) if now >= course["broke"]}
        assert since == {ALARM}, f"{each} could ring"
    times = [at for at in rung(name)["NewProblems"] if at >= 0]
    assert times and times[0] <= minutes * 60, rung(name)


@pytest.mark.parametrize("name", BESIDES)
def test_what_stays_broken_is_new_once(name: str) -> None:
    course = courses()[name]
    before = [at for at in rung(name)["NewProblems"] if at < 0]
    # The subscription that is not replaced is missing at once; what is not renewed is so at the second failure.
    assert 1 <= len(before) <= 2 and min(before) >= course["broke_first"] - course["broke"]


@pytest.mark.parametrize("name", [*EXPECTED, *HARMLESS])
def test_nothing_rings_before_anything_breaks(name: str) -> None:
    early = {each: times for each, times in rung(name).items() if times[0] < 0}
    assert not early


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_well_alarms_nobody(name: str) -> None:
    assert rung(name) == {}


def test_what_is_new_at_two_watches_in_a_row_rings_twice() -> None:
    each = ALARMS["NewProblems"]
    # The first as late as Amazon EventBridge Scheduler may be, the second in time.
    assert len(rings(each, {each.series: [(300, 0.0), (659, 1.0), (900, 1.0), (1200, 0.0)]}, 0, 1800)) == 2


@pytest.mark.parametrize("name", ["PagerDutyNotTold", "PagerDutyFailing", "PagerDutyCallsLost", "ChatNotTold", "ChatFailing", "ChatCallsLost"])
def test_each_call_that_a_rule_does_not_deliver_rings(name: str) -> None:
    each = ALARMS[name]
    assert rings(each, {each.series: [(600, 1.0), (1200, 1.0)]}, 0, 1800) == [660, 1260]


@pytest.mark.parametrize("minutes", [1, 30, 6 * 60])
def test_the_alarm_on_alarms_that_are_not_delivered_does_not_go_off_for_itself(minutes: int) -> None:
    each, end = ALARMS["OperationsNotReached"], 30 * 3600
    # When it goes off, it is not delivered, either, and after Amazon SNS has tried for some time that is counted.
    once = rings(each, {each.series: [(600, 1.0)]}, 0, end)
    failed = [(600, 1.0), *((at + minutes * 60, 1.0) for at in once)]
    assert rings(each, {each.series: failed}, 0, end) == once
    assert len(once) == 1


@pytest.mark.parametrize("each", ALARMS.values(), ids=ALARMS)
def test_an_alarm_says_what_to_do(each: Alarm) -> None:
    words = ("run", "look", "see", "subscribe", "compare", "make", "dial", "deploy", "says", "say", "tells", "send", "call back")
    assert any(re.search(rf"\b{word}\b", each.description, re.IGNORECASE) for word in words), each.description
    # CloudWatch's limit.
    assert len(each.description) <= 1024


# Alarms on what happens once. An OK a few minutes later would say that it was undone.
ONCE = {
    "CallEventsLost", "ChatNotReached", "DegradedAlerts", "LateAlerts", "SecondWayUsed", "SubscribersLost", "SubscribersNotReached",
    "SubscriptionsLost", "UnverifiedAlerts", "NewProblems", "CallsNotDelivered", "PagerDutyNotTold", "PagerDutyFailing", "PagerDutyCallsLost",
    "ChatNotTold", "ChatFailing", "ChatCallsLost", "OperationsNotReached",
}


@pytest.mark.parametrize("name", ALARMS)
def test_alarms_go_to_operations_and_say_when_they_end(name: str) -> None:
    properties = RESOURCES[name]["Properties"]
    assert properties["AlarmActions"] == ["OperationsTopic"]
    # What happened to a call or a subscriber stays so, though it does not happen again in the next minutes.
    assert properties.get("OKActions") == (None if name in ONCE else ["OperationsTopic"])
    # CloudFormation names it after the stack, and the topic takes alarms of such names only.
    assert "AlarmName" not in properties


def test_operations_can_really_be_told() -> None:
    # CloudWatch may not use AWS's own key for Amazon SNS. That it may publish is in `test_publishers.py`.
    assert RESOURCES["OperationsTopic"]["Properties"]["KmsMasterKeyId"] == ["HasKmsKey", "KmsKeyArn", "TopicsKey"]


def test_every_429_in_the_access_log_counts_for_this_stack() -> None:
    access_log = RESOURCES["HttpApi"]["Properties"]["AccessLogSettings"]
    counted = RESOURCES["ThrottledRequests"]["Properties"]
    [metric] = counted["MetricTransformations"]
    watched = RESOURCES["GatewayThrottled"]["Properties"]
    [member, status] = re.fullmatch(r'\{ \$\.(\w+) = "(\d+)" \}', counted["FilterPattern"]).groups()
    [dimension] = metric["Dimensions"]

    # The lines as API Gateway writes them, each variable in its place.
    line = json.loads(re.sub(r"\$context\.(\w+)", r"value of \1", access_log["Format"]))
    assert (line[member], status) == ("value of status", "429")
    assert line[dimension["Value"].removeprefix("$.")] == "value of apiId"
    assert access_log["DestinationArn"] == f"{counted['LogGroupName']}.Arn"
    assert metric["MetricValue"] == "1"

    assert (watched["Namespace"], watched["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])
    assert watched["Dimensions"] == [{"Name": dimension["Key"], "Value": "HttpApi"}]


def test_silence_is_breaching_where_silence_is_the_fault() -> None:
    breaching = {each.name for each in ALARMS.values() if each.missing == "breaching"}
    assert breaching == {
        "WatchMissing", "ProbesMissing", "SubscriptionsRunningOut", "NobodyHearsAlerts", "NobodyHearsAlarms",
        "NobodyHearsChat", "NobodyHearsSecondWay",
    }
    assert {each.missing for each in ALARMS.values()} == {"breaching", "notBreaching"}


def test_the_dashboard_shows_every_alarm() -> None:
    body, substitutions = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]
    shown = set(re.findall(r"\$\{(\w+)\.Arn\}", body + json.dumps(substitutions)))
    assert shown == set(ALARMS)
    widgets = json.loads(re.sub(r"\$\{ConditionalAlarms\}", "", body))["widgets"]
    assert widgets[0]["type"] == "alarm" and all(widget["y"] > 0 for widget in widgets[1:])
    taken = [(x, y) for each in widgets for x in range(each["x"], each["x"] + each["width"]) for y in range(each["y"], each["y"] + each["height"])]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) < 24


def test_the_guide_has_every_alarm() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", GUIDE, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"\w+", row)) == sorted(ALARMS)


# AWS's examples on missing data: with 3 evaluation periods, of which 3 or 2 are to alarm. 0 is within the threshold, X is not. The
# states are those for missing, ignore, breaching and notBreaching; "kept" is the state before.
EXAMPLES = [
    (3, "0 - X - X", (OK, OK, OK, OK)),
    (3, "0 - - - -", (OK, OK, OK, OK)),
    (3, "- - - - -", (NO_DATA, "kept", ALARM, OK)),
    (3, "0 X X - X", (ALARM, ALARM, ALARM, ALARM)),
    (3, "- - X - -", (ALARM, "kept", ALARM, OK)),
    (2, "0 - X - X", (ALARM, ALARM, ALARM, ALARM)),
    (2, "0 0 X 0 X", (ALARM, ALARM, ALARM, ALARM)),
    (2, "0 - X - -", (OK, OK, ALARM, OK)),
    (2, "- - - - 0", (OK, OK, ALARM, OK)),
    (2, "- - - X -", (ALARM, "kept", ALARM, OK)),
]


@pytest.mark.parametrize(("to_alarm", "points", "states"), EXAMPLES)
def test_missing_data_is_treated_as_aws_says(to_alarm: int, points: str, states: tuple[str, ...]) -> None:
    breaching = [{"0": False, "X": True, "-": None}[point] for point in points.split()]
    treatments = ("missing", "ignore", "breaching", "notBreaching")
    assert tuple(evaluated(breaching, 3, to_alarm, each, "kept") for each in treatments) == states


def quiet(**more: object) -> tuple[Alarm, Values]:
    """An alarm on less than one a minute, and a metric that ends after ten minutes."""
    metric = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "D", "Value": "V"}]}
    properties = {
        "AlarmDescription": "", "EvaluationPeriods": 3, "Threshold": 1, "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching", **({**metric, "Statistic": "Sum", "Period": 60} if not more else more),
    }
    return alarm("quiet", properties, {}), {series("N", "M", {"D": "V"}): [(minute * 60, 1.0) for minute in range(10)]}


def test_an_alarm_on_missing_data_goes_by_older_data_first() -> None:
    each, found = quiet()
    # Not after three minutes, but when the evaluation range holds nothing.
    assert rings(each, found, 300, 1800) == [15 * 60]


def test_a_filled_metric_does_not_wait() -> None:
    metric = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "D", "Value": "V"}]}
    stat = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False}
    each, found = quiet(Metrics=[{"Id": "e", "Expression": "FILL(m, 0)", "ReturnData": True}, stat])
    assert rings(each, found, 300, 1800) == [13 * 60]
    assert rings(each, {}, 300, 600) == [300], "without any data it is missing"


def test_what_is_not_known_is_no_guess() -> None:
    with pytest.raises(Unknown):
        quiet(Metrics=[{"Id": "e", "Expression": "RATE(m)", "ReturnData": True}])
    with pytest.raises(Unknown):
        alarms({"A": {"Type": "AWS::CloudWatch::CompositeAlarm"}}, {})


def test_a_line_is_read_under_each_set_of_dimensions() -> None:
    line = json.dumps({
        "F": "f", "P": "p", "M": [1, 2],
        "_aws": {"Timestamp": 60_000, "CloudWatchMetrics": [
            {"Namespace": "N", "Dimensions": [["F"], ["F", "P"]], "Metrics": [{"Name": "M", "Unit": "Count"}]},
        ]},
    })
    alone, both = series("N", "M", {"F": "f"}), series("N", "M", {"F": "f", "P": "p"})
    assert list(embedded(line)) == [(alone, 60, 1), (alone, 60, 2), (both, 60, 1), (both, 60, 2)]
