"""What arrives where when somebody makes an emergency call."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from dialling import alerts_in, make_cold, retry


@pytest.mark.parametrize(
    ("number", "right", "wrong", "is_test"), [("911", "AlertTopic", "TestTopic", False), ("933", "TestTopic", "AlertTopic", True)]
)
def test_a_call_reaches_every_kind_of_subscriber_of_one_topic_only(system, watch, number, right, wrong, is_test):
    topic = {name: system.outputs[f"{name}Arn"] for name in (right, wrong)}

    report = system.dial(number)

    assert [attempt["status"] for attempt in report["attempts"]] == [202]

    def arrived(protocol):
        [item] = watch.wait_for(lambda item: item["protocol"] == protocol and item.get("topic") == topic[right])
        return item

    email, sms, pager, queue = (arrived(protocol) for protocol in ("email", "sms", "http", "sqs"))
    document = json.loads(queue["message"]["Message"])
    assert document == json.loads(json.loads(pager["body"])["Message"])
    assert document["callId"] == report["callId"]
    assert (document["numberDialed"], document["isTest"], document["verified"], document["degraded"]) == (number, is_test, True, False)
    assert document["policyName"] == "Global"
    assert document["caller"] == {"displayName": "Adele Vance", "upn": "adele.vance@contoso.com", "phoneNumber": "14255550100"}
    for text in (email["body"], sms["body"]):
        assert "14255550100" in text.replace(" ", "").replace("-", "").replace("(", "").replace(")", "")
        assert "Microsoft Way" in text
        assert number in text
    assert "Floor 7, Room 700" in email["body"]
    assert len(email["subject"]) < 100 and email["subject"].isascii()
    assert len(sms["body"]) <= 160
    assert ("TEST" in email["subject"]) is is_test
    assert ("TEST" in sms["body"]) is is_test
    attributes = queue["message"]["MessageAttributes"]
    assert attributes["isTest"]["Value"] == str(is_test).lower()
    assert attributes["policyName"]["Value"] == "Global"
    assert len(attributes) <= 10

    [event] = watch.wait_for(lambda item: item["protocol"] == "event" and item["message"]["detail-type"] == "Emergency Call")
    assert event["message"]["source"] == "teams-emergency-alerts"
    assert event["message"]["detail"] == document
    assert not [item for item in watch.items() if item.get("topic") == topic[wrong]]


def test_a_duplicate_is_published_once(system):
    call = system.dial("911")["callId"]
    assert [alert["callId"] for alert in alerts_in(system, "alerts")] == [call]

    report = system.control("redeliver", callId=call, wait=True)

    assert [attempt["status"] for attempt in report["attempts"]] == [202, 202]
    assert alerts_in(system, "alerts") == []


def test_calls_delivered_together_are_all_published(system):
    calls = [{"number": number, "policy": policy} for number in ("911", "933") for policy in ("Global", "Warehouse")]

    reports = system.control("dial-together", calls=calls, wait=True)

    numbers = {"alerts": "911", "tests": "933"}
    for queue, number in numbers.items():
        documents = alerts_in(system, queue)
        assert sorted(document["policyName"] for document in documents) == ["Global", "Warehouse"]
        assert {document["numberDialed"] for document in documents} == {number}
    assert {attempt["status"] for report in reports for attempt in report["attempts"]} == {202}


@pytest.mark.parametrize("how", [{"status": 500}, {"hangSeconds": 10}], ids=["failing", "hanging"])
def test_without_the_state_table_alerts_are_published_all_the_same(system, how):
    system.fault("dynamodb", **how)

    report = system.dial("911")

    assert [(attempt["outcome"], attempt["status"]) for attempt in report["attempts"]] == [("accepted", 202)]
    assert [alert["callId"] for alert in alerts_in(system, "alerts")] == [report["callId"]]


@pytest.mark.parametrize("how", [{"status": 500}, {"hangSeconds": 10}], ids=["failing", "hanging"])
def test_without_the_event_bus_alerts_are_published_once(system, how):
    system.fault("events", **how)

    report = system.dial("911")

    assert [(attempt["outcome"], attempt["status"]) for attempt in report["attempts"]] == [("accepted", 202)]
    assert [alert["callId"] for alert in alerts_in(system, "alerts")] == [report["callId"]]


@pytest.mark.parametrize("how", [{"status": 500}, {"hangSeconds": 10}], ids=["failing", "hanging"])
def test_when_publishing_fails_graph_is_asked_to_retry_and_the_retry_succeeds(system, how):
    system.fault("sns", **how)

    report = system.dial("911")

    # In time: what Graph gave up waiting for would be `timedOut`.
    [attempt] = report["attempts"]
    assert (attempt["outcome"], attempt["status"]) == ("refused", 503)
    assert alerts_in(system, "alerts") == []

    system.repair()
    report = retry(system, report["callId"])

    assert report["attempts"][-1]["status"] == 202
    assert [alert["callId"] for alert in alerts_in(system, "alerts")] == [report["callId"]]


def test_a_cold_receiver_without_its_keyring_shakes_hands_and_asks_for_a_retry(system):
    make_cold(system)
    system.fault("secretsmanager", status=500)

    status, _, body = system.notify(b"", "?validationToken=Validation%3a+Testing", content_type="text/plain; charset=utf-8")
    assert (status, body) == (200, b"Validation: Testing")
    report = system.dial("911")
    [attempt] = report["attempts"]
    assert (attempt["outcome"], attempt["status"]) == ("refused", 503)

    system.repair()
    assert retry(system, report["callId"])["attempts"][-1]["status"] == 202
    assert [alert["callId"] for alert in alerts_in(system, "alerts")] == [report["callId"]]


def test_a_cold_receiver_needs_nothing_from_microsoft(system):
    make_cold(system)
    system.control("faults", operation="signingKeys", times=None, effect="fail", status=500)

    report = system.dial("911")

    assert [attempt["status"] for attempt in report["attempts"]] == [202]
    [alert] = alerts_in(system, "alerts")
    assert alert["verified"] is True


def test_graph_can_rotate_its_signing_keys_at_any_time(system):
    system.control("rotate-signing-keys")

    report = system.dial("911")

    assert [attempt["status"] for attempt in report["attempts"]] == [202]
    [alert] = alerts_in(system, "alerts")
    assert alert["verified"] is True


def test_the_end_of_a_call_says_which_call_and_how_long_it_took(system, watch):
    call = system.dial("911")["callId"]
    system.control("end-call", callId=call, wait=True)

    start, end = documents_of(watch, "callStarted", "callEnded")
    assert (start["callId"], end["callId"]) == (call, call)
    assert (start["startedAt"], start["durationSeconds"]) == (None, None)
    assert end["startedAt"] == start["occurredAt"]
    lasted = datetime.fromisoformat(end["occurredAt"]) - datetime.fromisoformat(start["occurredAt"])
    assert end["durationSeconds"] == int(lasted.total_seconds())
    assert [each["incident"]["action"] for each in (start, end)] == ["trigger", "resolve"]
    assert start["incident"]["key"] == end["incident"]["key"]
    email, sms = texts_about(watch, "ended")
    for text in (email["subject"], sms["body"]):
        assert text.startswith(f"911 call ended after {end['durationSeconds']} s")
    table = system.client("dynamodb").scan(TableName=system.resources["StateTable"])["Items"]
    [known] = [item for item in table if item.get("startedAt", {}).get("S") == start["occurredAt"]]
    assert set(known) == {"pk", "sk", "startedAt", "isTest", "endedAt", "expiresAt"}
    assert known["pk"]["S"].startswith("alert#") and call not in json.dumps(table)


def test_an_unknown_event_of_a_call_is_passed_on_in_words_that_claim_nothing(system, watch):
    call = system.dial("911")["callId"]
    system.control("call-event", callId=call, eventType="callTransferred", wait=True)

    start, event = documents_of(watch, "callStarted", "callTransferred")
    assert (event["callId"], event["incident"]["key"]) == (call, start["incident"]["key"])
    assert (event["incident"]["action"], event["durationSeconds"]) == ("trigger", None)
    email, sms = texts_about(watch, "callTransferred")
    assert "The meaning of this event is not known here." in " ".join(email["body"].split())
    for text in (email["subject"], email["body"], sms["body"]):
        assert "ended" not in text and "was dialled" not in text


def documents_of(watch, *kinds: str) -> list[dict]:
    """The documents that AlertTopic's queue got: one event of each kind, and nothing else."""
    messages = watch.wait_for(lambda item: item["protocol"] == "sqs", len(kinds))
    documents = [json.loads(item["message"]["Message"]) for item in messages]
    assert sorted(document["eventType"] for document in documents) == sorted(kinds)
    return sorted(documents, key=lambda document: kinds.index(document["eventType"]))


def texts_about(watch, word: str) -> list[dict]:
    """The email and the text message that have this word at the front."""
    front = {"email": "subject", "sms": "body"}
    return [watch.wait_for(lambda item: item["protocol"] == kind and word in item[front[kind]])[0] for kind in front]
