"""The public address: what it answers to requests that are no authentic notification."""

from __future__ import annotations

import json

import pytest


def test_the_handshake_is_answered_with_the_decoded_token_and_nothing_else(system):
    query = "?validationToken=Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3A+1f2e%2b3d"

    status, headers, body = system.notify(b"", query, content_type="text/plain; charset=utf-8")

    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert body == b"Validation: Testing client application reachability for subscription Request-Id: 1f2e+3d"


def test_a_token_that_could_be_markup_is_refused(system):
    status, _, body = system.notify(b"", "?validationToken=%3Cscript%3Ealert(1)%3C%2Fscript%3E", content_type="text/plain")

    assert status == 400
    assert b"script" not in body


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"{}", b'{"value":7}', b"\xff\xfe"])
def test_what_is_no_notification_is_refused(system, body):
    assert system.notify(body)[0] == 400
    assert system.receive("alerts") == []


def test_other_methods_have_no_route(system):
    assert system.notify(b"", method="PUT")[0] == 404


def test_a_forged_notification_is_answered_like_a_genuine_one_and_raises_nothing(system):
    # A genuine one that could not be published, so that nothing is known of the call yet.
    system.fault("sns", status=500)
    call = system.dial("911")["callId"]
    system.repair()
    [genuine] = [delivery["body"] for delivery in system.inspect("deliveries") if call in delivery["callIds"]]
    forged = json.loads(json.dumps(genuine))
    forged["value"][0]["clientState"] = "guessed"
    forged["validationTokens"] = [token[:-8] + "AAAAAAAA" for token in genuine["validationTokens"]]

    assert system.notify(json.dumps(forged).encode())[::2] == (202, b"")
    assert system.receive("alerts") == [] and system.receive("tests") == []

    assert system.notify(json.dumps(genuine).encode())[::2] == (202, b"")
    assert len(system.receive("alerts")) == 1
