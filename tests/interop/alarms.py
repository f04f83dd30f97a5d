"""What CloudWatch makes of metrics: the states of a template's alarms, minute by minute.

Written after AWS's pages "Alarm evaluation", "Configuring how CloudWatch alarms treat missing data" and "Using math expressions",
and the specification of the embedded metric format. Where they leave a way out, this takes the slower reading: it looks at older data
before it takes a data point for missing, and a value is to be seen only a minute after it was printed. What the template does not use
is an error and no guess.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# How many data points CloudWatch fetches beyond EvaluationPeriods, in the examples on missing data.
BEYOND = 2
# How long it takes until a value counts, in seconds.
DELAY = 60
MINUTE = 60

OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

COMPARISONS = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}
STATISTICS = {"Sum": sum, "Minimum": min, "Maximum": max}
FILL = re.compile(r"FILL\((\w+), ?(\d+)\)")

Series = tuple[str, str, frozenset]
Values = dict[Series, list[tuple[int, float]]]


class Unknown(Exception):
    """The template uses something of CloudWatch that is not known here."""


@dataclass(frozen=True)
class Alarm:
    """An alarm on one metric."""

    name: str
    description: str
    series: Series
    statistic: str
    period: int
    periods: int
    to_alarm: int
    threshold: float
    comparison: str
    missing: str
    # What stands for a period without data, before it counts as missing.
    filled: float | None

    def breaching(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.threshold)

    def points(self, values: Values, now: int) -> list[float | None]:
        """The data points that CloudWatch has at a time, the oldest first."""
        found = values.get(self.series, [])
        seen = bisect_right(found, now - DELAY, key=when)
        points: list[float | None] = []
        for age in reversed(range(self.periods + BEYOND)):
            end = now - age * self.period
            begin, end = (bisect_left(found, time, hi=seen, key=when) for time in (end - self.period, end))
            within = [value for _, value in found[begin:end]]
            points.append(STATISTICS[self.statistic](within) if within else None)
        # A metric that has no data at all is filled with nothing.
        if self.filled is not None and any(point is not None for point in points):
            points = [self.filled if point is None else point for point in points]
        return points

    def state(self, values: Values, now: int, before: str) -> str:
        points = [None if point is None else self.breaching(point) for point in self.points(values, now)]
        return evaluated(points, self.periods, self.to_alarm, self.missing, before)


def evaluated(breaching: list[bool | None], periods: int, to_alarm: int, missing: str, before: str) -> str:
    """The state by the data points of the evaluation range, the oldest first; None is a missing one."""
    found = [point for point in breaching if point is not None][-periods:]
    lacking = periods - len(found)
    if lacking == 0 or missing in ("breaching", "notBreaching"):
        return ALARM if sum(found) + (lacking if missing == "breaching" else 0) >= to_alarm else OK
    if not all(found):
        return ALARM if sum(found) >= to_alarm else OK
    # Nothing found, or nothing but breaching data.
    if missing == "ignore":
        return before
    return ALARM if found else NO_DATA


def alarms(resources: dict, parameters: dict) -> list[Alarm]:
    """The alarms of a template as `read_yaml` reads it."""
    found = []
    for name, resource in resources.items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            found.append(alarm(name, resource["Properties"], parameters))
        elif resource["Type"] == "AWS::CloudWatch::CompositeAlarm":
            raise Unknown(f"{name} is an alarm on alarms")
    return found


def alarm(name: str, properties: dict, parameters: dict) -> Alarm:
    metric, filled = properties, None
    if "Metrics" in properties:
        metric, filled = filled_metric(name, properties["Metrics"])
    threshold = properties["Threshold"]
    found = Alarm(
        name=name,
        description=properties["AlarmDescription"],
        series=series(metric["Namespace"], metric["MetricName"], {each["Name"]: resource(each["Value"]) for each in metric["Dimensions"]}),
        statistic=metric["Statistic"],
        period=metric["Period"],
        periods=properties["EvaluationPeriods"],
        to_alarm=properties.get("DatapointsToAlarm", properties["EvaluationPeriods"]),
        threshold=float(parameters[threshold]["Default"] if threshold in parameters else threshold),
        comparison=properties["ComparisonOperator"],
        missing=properties["TreatMissingData"],
        filled=filled,
    )
    if found.statistic not in STATISTICS or found.comparison not in COMPARISONS or found.period % MINUTE:
        raise Unknown(f"{name}: {found}")
    return found


def resource(value: object) -> str:
    """How the template names the resource of a dimension: what a function makes of it is not worked out."""
    return value if isinstance(value, str) else json.dumps(value)


def filled_metric(name: str, metrics: list[dict]) -> tuple[dict, float]:
    """The metric of an alarm on `FILL(metric, number)`, and the number."""
    by_id = {each["Id"]: each for each in metrics}
    [answer] = [each for each in metrics if each["ReturnData"]]
    formula = FILL.fullmatch(answer.get("Expression", ""))
    if not formula or len(by_id) != 2:
        raise Unknown(f"{name}: {metrics}")
    stat = by_id[formula[1]]["MetricStat"]
    return {**stat["Metric"], "Period": stat["Period"], "Statistic": stat["Stat"]}, float(formula[2])


def series(namespace: str, metric: str, dimensions: dict[str, str]) -> Series:
    return namespace, metric, frozenset(dimensions.items())


def embedded(line: str) -> Iterator[tuple[Series, int, float]]:
    """The values in a line of the embedded metric format: each metric under each of its sets of dimensions."""
    members = json.loads(line)
    at = members["_aws"]["Timestamp"] // 1000
    for directive in members["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            for metric in directive["Metrics"]:
                value = members[metric["Name"]]
                for each in value if isinstance(value, list) else [value]:
                    yield series(directive["Namespace"], metric["Name"], {name: members[name] for name in names}), at, each


def values(lines: Iterable[str], aws: Iterable[dict]) -> Values:
    """All values of all metrics, by time: those that functions printed, and those that AWS made itself."""
    found: Values = defaultdict(list)
    for line in lines:
        for of, at, value in embedded(line):
            found[of].append((at, value))
    for sample in aws:
        found[series(sample["namespace"], sample["metric"], dict(sample["dimensions"]))].append((sample["at"], sample["value"]))
    return {of: sorted(all_of_it) for of, all_of_it in found.items()}


def when(value: tuple[int, float]) -> int:
    return value[0]


def states(each: Alarm, found: Values, begin: int, end: int) -> Iterator[tuple[int, str]]:
    """The state of an alarm, evaluated every minute."""
    state = NO_DATA
    for now in range(begin, end + 1, MINUTE):
        state = each.state(found, now, state)
        yield now, state


def rings(each: Alarm, found: Values, begin: int, end: int) -> list[int]:
    """When an alarm went off."""
    before, times = NO_DATA, []
    for now, state in states(each, found, begin, end):
        if state == ALARM != before:
            times.append(now)
        before = state
    return times
