"""What subscribers of each kind receive is what the preview shows for the same call."""

from __future__ import annotations

import json
import subprocess

import pytest
from front import EMAIL_FOOTER
from tools import ROOT, environment

ZONE = "America/New_York"


def shown(folder, alert: dict, **what: object) -> dict:
    """What the preview makes of the event of an alert document: of what was decrypted, or of a drill."""
    call = {
        "title": "What arrived",
        "notification": {name: alert[name] for name in ("tenantId", "policyName", "callId", "receivedAt", "verified")},
        **what,
    }
    (folder / "arrived.json").write_text(json.dumps(call))
    command = [str(environment("preview") / "python"), str(ROOT / "local" / "preview.py"), "--json"]
    settings = ["--calls", str(folder), "--languages", "en", "--time-zone", ZONE]
    [preview] = json.loads(subprocess.run([*command, *settings], stdout=subprocess.PIPE, check=True).stdout)
    return preview


def arrived(system, watch, topic: str, call: str) -> dict:
    """What each kind of subscriber of one topic got for a call."""

    def one(protocol: str) -> dict:
        def wanted(item: dict) -> bool:
            return item["protocol"] == protocol and item.get("topic") == system.outputs[f"{topic}Arn"] and call in json.dumps(item)

        [item] = watch.wait_for(wanted)
        return item

    queue = one("sqs")["message"]
    # A text message has no call id.
    [sms] = watch.wait_for(lambda item: item["protocol"] == "sms" and item["messageId"] == queue["MessageId"])
    email, pager = one("email"), one("http")
    body, _, footer = email["body"].partition(EMAIL_FOOTER.partition("{")[0])
    assert footer
    return {
        "email": {"subject": email["subject"], "body": body},
        "sms": sms["body"],
        "document": json.loads(queue["Message"]),
        "pager": json.loads(json.loads(pager["body"])["Message"]),
        "attributes": {name: attribute["Value"] for name, attribute in queue["MessageAttributes"].items()},
    }


def machines(watch, call: str) -> tuple[dict, dict]:
    """What PagerDuty and chat got for a call, without what EventBridge adds."""
    [incident] = watch.wait_for(lambda item: item["protocol"] == "pagerduty" and call in item["body"])
    [card] = watch.wait_for(lambda item: item["protocol"] == "chat" and call in item["message"]["Message"])
    incident, card = json.loads(incident["body"]), json.loads(card["message"]["Message"])
    assert incident.pop("routing_key")
    assert card.pop("id")
    return incident, card


def same(got: dict, preview: dict) -> None:
    assert got["document"] == got["pager"] == preview["document"]
    for name in ("email", "sms", "attributes"):
        assert got[name] == preview[name]


HOSTILE = {"displayName": 'Ana "Nana" O\'Neil\\ <b>\r\n{{x}} 🚒 \u202eX', "upn": "ana@contoso.com", "phoneNumber": "14255550100"}


@pytest.mark.parametrize("more", [{}, {"caller": HOSTILE}], ids=["a name", "a hostile name"])
def test_a_call_arrives_as_previewed(system, watch, tmp_path, more) -> None:
    call = system.dial("911", **more)["callId"]

    got = arrived(system, watch, "AlertTopic", call)
    incident, card = machines(watch, call)

    preview = shown(tmp_path, got["document"], document=got["document"]["raw"])
    same(got, preview)
    assert incident == preview["pagerDuty"]
    assert preview["chat"].pop("id")
    assert card == preview["chat"]


def test_the_end_of_a_call_arrives_as_previewed(system, tmp_path) -> None:
    call = system.dial("911")["callId"]
    system.receive("alerts")
    system.control("end-call", callId=call, wait=True)
    [message] = system.receive("alerts", wait=10)
    ended = json.loads(message["Message"])

    preview = shown(tmp_path, ended, document=ended["raw"], startedAt=ended["startedAt"])

    assert ended["startedAt"]
    assert ended == preview["document"]


def test_a_test_call_arrives_as_previewed(system, watch, tmp_path) -> None:
    call = system.dial("933")["callId"]

    got = arrived(system, watch, "TestTopic", call)

    preview = shown(tmp_path, got["document"], document=got["document"]["raw"])
    same(got, preview)
    assert (preview["pagerDuty"], preview["chat"]) == (None, None)


def test_a_drill_arrives_as_previewed(system, watch, tmp_path) -> None:
    system.renew({"action": "drill"})
    [queue] = watch.wait_for(lambda item: item["protocol"] == "sqs")
    call = json.loads(queue["message"]["Message"])["callId"]

    got = arrived(system, watch, "TestTopic", call)

    same(got, shown(tmp_path, got["document"], drill="test"))
