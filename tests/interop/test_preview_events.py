"""What the preview makes of EventBridge's rules, held against the examples on AWS's pages and against the emulator's code."""

from __future__ import annotations

import pytest

import browser  # noqa: F401  (puts local/ on the path)
import preview_events as events

# From AWS's page on input transformation.
INSTANCE = {
    "version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602", "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2", "account": "123456789012", "time": "2015-11-11T21:29:54Z", "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING"},
}
PATHS = {"instance": "$.detail.instance-id", "state": "$.detail.state", "detail": "$.detail", "gone": "$.detail.gone.away"}


@pytest.mark.parametrize(("template", "made"), [
    ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
    ('{"instance" : <instance>, "state": <state>}', '{"instance" : "i-0123456789", "state": "RUNNING"}'),
    ('{"instance" : "<instance>", "state": "<state>"}', '{"instance" : "i-0123456789", "state": "RUNNING"}'),
    ('{"said": "is \\"<state>\\" <now"}', '{"said": "is \\"RUNNING\\" <now"}'),
    ('{"detail": <detail>}', '{"detail": {"instance-id":"i-0123456789","state":"RUNNING"}}'),
    ('{"gone": "<gone>"}', '{"gone": ""}'),
    ('{"gone": <gone>}', '{"gone": }'),
])
def test_a_template_is_filled(template: str, made: str) -> None:
    assert events.transformed(PATHS, template, INSTANCE) == made


def test_nothing_is_escaped_and_null_is_as_missing() -> None:
    event = {"text": 'a "b" \\ c', "null": None, "flag": True, "number": 1.5, "object": {"text": 'a "b"', "null": None}}
    paths = {name: f"$.{name}" for name in event}
    assert events.transformed(paths, '{"t": "<text>"}', event) == '{"t": "a "b" \\ c"}'
    assert events.transformed(paths, '"<null>, <flag>, <number>"', event) == '", true, 1.5"'
    assert events.transformed(paths, "<flag> <number>", event) == "true 1.5"
    assert events.transformed(paths, "<object>", event) == '{"text":"a \\"b\\"","null":null}'


@pytest.mark.parametrize(("paths", "template"), [
    ({}, "<unknown>"), ({"detail": "$.detail"}, '"<detail>"'), ({"first": "$.resources[0]"}, "<first>"), ({"all": "$"}, "<all>"),
])
def test_what_is_not_known_is_refused(paths: dict, template: str) -> None:
    with pytest.raises(events.Unknown):
        events.transformed(paths, template, INSTANCE)


@pytest.mark.parametrize(("pattern", "matches"), [
    ({}, True),
    ({"source": ["aws.s3", "aws.ec2"]}, True),
    ({"source": ["aws.s3"]}, False),
    ({"source": ["aws.ec2"], "detail": {"state": ["STOPPED"]}}, False),
    ({"source": ["aws.ec2"], "detail": {"state": ["RUNNING"]}}, True),
    ({"detail": {"gone": ["x"]}}, False),
    ({"replay-name": [{"exists": False}]}, True),
    ({"source": [{"exists": False}]}, False),
    ({"detail": {"state": [{"exists": True}]}}, True),
    ({"detail": {"gone": {"away": ["x"]}}}, False),
    ({"source": {"deeper": ["x"]}}, False),
])
def test_a_pattern_matches(pattern: dict, matches: bool) -> None:
    assert events.matches(pattern, INSTANCE) is matches


def test_truth_is_not_one() -> None:
    assert not events.matches({"flag": [1]}, {"flag": True})
    assert not events.matches({"flag": [True]}, {"flag": 1})
    assert events.matches({"flag": [True]}, {"flag": True})


@pytest.mark.parametrize("pattern", [{"source": [{"prefix": "aws"}]}, {"source": "aws.ec2"}, {"source": [{"exists": "false"}]}])
def test_other_patterns_are_refused(pattern: dict) -> None:
    with pytest.raises(events.Unknown):
        events.matches(pattern, INSTANCE)


def test_what_is_no_json_is_refused() -> None:
    rule = events.Rule("Broken", {}, {"gone": "$.detail.gone"}, '{"gone": <gone>}')
    with pytest.raises(events.Unknown, match="Broken"):
        rule.sends(INSTANCE)
