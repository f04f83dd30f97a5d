"""What the functions' metrics say, and which of the template's alarms that sets off."""

from __future__ import annotations

import json
import operator
import time
from collections import Counter
from pathlib import Path

from dialling import handshake
from preview_events import read_yaml
from processes import until

RESOURCES = read_yaml((Path(__file__).resolve().parents[2] / "template.yaml").read_text())["Resources"]
ALARMS = {
    name: each["Properties"] for name, each in RESOURCES.items()
    if each["Type"] == "AWS::CloudWatch::Alarm" and "MetricName" in each["Properties"]
}
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
# What silence is seen by: alarms on these metrics ring when nothing comes, or nothing but 0.
PROBES = {"ProbesAnswered", "ProbesReceived"}
# The receiver counts each of its own answers 503 by one of these.
OWN_503 = {"AlertsNotPublished", "NotificationsUndecided"}
# Graph's patience with a first attempt: what took that long has taken longer than any alarm allows.
TIMED_OUT_MS = 3000


class Log:
    """What a function writes to its log from now on."""

    def __init__(self, system, function: str) -> None:
        self._system, self._function = system, function
        self._logs = system.client("logs")
        self._group = system.resources[f"{function}LogGroup"]
        self._begun_ms = int(time.time() * 1000)

    def _lines(self) -> list[dict]:
        """Lines of metrics. One may get into the log only with the next invocation, so that its own time counts."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._group, startTime=self._begun_ms, filterPattern=""
        )
        texts = (event["message"] for page in pages for event in page["events"] if event["message"].startswith("{"))
        return [line for line in map(json.loads, texts) if "_aws" in line and line["_aws"]["Timestamp"] >= self._begun_ms]

    def metrics(self, names: set[str], awaited: dict[str, int]) -> dict[str, int]:
        """The sums of these metrics that are not 0, as soon as those that are awaited are there."""

        def sums() -> Counter[str]:
            found: Counter[str] = Counter()
            for line in self._lines():
                found.update({name: line[name] for name in names & line.keys()})
            return +found

        def complete() -> bool:
            return all(sums()[name] >= count for name, count in awaited.items())

        # A line may get into the log a moment after the answer, or with the next invocation only.
        if not until(complete, 5) and self._function == "Receiver":
            handshake(self._system)
            until(complete, 15)
        return dict(sums())

    def least(self, name: str) -> dict[str, float]:
        """The smallest value of a metric, if it has any."""
        values = [line[name] for line in self._lines() if name in line]
        return {name: min(values)} if values else {}


def raised_by_calls(metrics: dict[str, int], attempts: list[dict]) -> set[str]:
    """The alarms on the way in and on the receiver that have a datapoint beyond their threshold after these attempts."""
    statuses = [attempt["status"] or 0 for attempt in attempts]
    data = {
        **{("TeamsEmergencyAlerts", name): value for name, value in metrics.items()},
        ("AWS/ApiGateway", "5xx"): sum(status >= 500 for status in statuses),
        ("AWS/ApiGateway", "4xx"): sum(400 <= status < 500 for status in statuses),
        # Counted from the access log.
        ("TeamsEmergencyAlerts", "ThrottledRequests"): statuses.count(429),
        # The emulator's gateway says 502 where the function has crashed.
        ("AWS/Lambda", "Errors"): sum(status == 502 for status in statuses),
        # And 503 where AWS Lambda does not run it.
        ("AWS/Lambda", "Throttles"): 0 if OWN_503 & metrics.keys() else sum(status == 503 for status in statuses),
    }
    if any(attempt["outcome"] == "timedOut" for attempt in attempts):
        data["AWS/ApiGateway", "Latency"] = TIMED_OUT_MS
    return raised(data, {"ReceiverFunction", "HttpApi"})


def raised_by_run(metrics: dict[str, float], failed: bool) -> set[str]:
    """The alarms on the renewer that have a datapoint beyond their threshold after a run."""
    data = {("TeamsEmergencyAlerts", name): value for name, value in metrics.items()}
    return raised({**data, ("AWS/Lambda", "Errors"): int(failed)}, {"RenewerFunction"})


def raised(data: dict[tuple[str, str], float], watched: set[str]) -> set[str]:
    """The alarms on what is watched that one of these datapoints sets off, by itself or if it lasts."""
    return {
        name for name, alarm in ALARMS.items()
        if watches(alarm) in watched and breaches(alarm, data.get((alarm["Namespace"], alarm["MetricName"])))
    }


def raised_by_silence(probes: dict[str, float]) -> set[str]:
    """The alarms that ring if what a watch has found goes on: these values of the metrics of probes, and no others."""
    on_probes = {name: metric for name, metric in map(measured, RESOURCES) if metric in PROBES}
    return {name for name, metric in on_probes.items() if falls_short(RESOURCES[name]["Properties"], probes.get(metric))}


def measured(name: str) -> tuple[str, str | None]:
    """A resource and the metric that it watches, be it as it is or filled, if it is an alarm."""
    properties = RESOURCES[name].get("Properties", {}) if RESOURCES[name]["Type"] == "AWS::CloudWatch::Alarm" else {}
    found = [each["MetricStat"]["Metric"]["MetricName"] for each in properties.get("Metrics", []) if "MetricStat" in each]
    return name, properties.get("MetricName") or next(iter(found), None)


def falls_short(alarm: dict, value: float | None) -> bool:
    return alarm["TreatMissingData"] == "breaching" if value is None else breaches(alarm, value)


def watches(alarm: dict) -> str:
    """What an alarm watches, by its logical name."""
    return str(alarm["Dimensions"][0]["Value"]) if alarm.get("Dimensions") else ""


def breaches(alarm: dict, value: float | None) -> bool:
    return value is not None and COMPARISONS[alarm["ComparisonOperator"]](value, float(alarm["Threshold"]))
