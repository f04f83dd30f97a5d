"""What the Graph simulator seals and signs, Python and Node open, and all judges accept."""

from __future__ import annotations

import datetime
import json
import subprocess
import time
from pathlib import Path

import pytest

import graph_reference as graph
import programs
import scene
import simulator
from graph_judge import Judge

# The simulator's own names for its samples, as `events/README.md` has them.
SAMPLE_TENANT = "5a1f0c9e-3b52-4d0e-9d0a-7f6f2c1e8b11"
SAMPLE_CLIENT = "c0ffee00-1d2c-4b3a-8f4e-5d6c7b8a9f00"
BITS = [2048, 3072, 4096]


def opened_by_all(body: str, keyring: str, tenant: str, client: str, policies: list[str], login: str, now: int) -> dict:
    """The document in the only item, after everybody has accepted it and read the same."""
    settings = {"keyring": keyring, "clientId": client, "tenantId": tenant, "policyNames": ",".join(policies)}
    settings |= {"loginEndpoint": login, "now": now}
    python = Judge(keyring, client, [(tenant, policy) for policy in policies], login, now).judge(body)
    rust = programs.ask_rust(settings, [body])[0]
    assert python is not None and rust is not None
    assert [each.verdict for each in python] == [each.verdict for each in rust] == ["verified"], (python, rust)
    document = python[0].resource
    assert document is not None and document == rust[0].resource
    assert opened_by_node(body, keyring) == {"resource": graph.b64(document)}
    return json.loads(document)


def opened_by_node(body: str, keyring: str) -> dict:
    content = json.loads(body)["value"][0]["encryptedContent"]
    keys = {key["certificateId"]: key["privateKey"] for key in json.loads(keyring)["keys"]}
    return programs.ask_node([{"do": "open", "content": content, "privateKey": keys[content["encryptionCertificateId"]]}])[0]


def check_sample(directory: Path) -> None:
    event = json.loads((directory / "emergency-call.json").read_text())
    assert event["isBase64Encoded"] is False
    keyring = (directory / "keyring.json").read_text()
    document = opened_by_all(event["body"], keyring, SAMPLE_TENANT, SAMPLE_CLIENT, ["Global"], scene.LOGIN, scene.NOW)
    assert document["emergencyCallEvent"]["emergencyNumberDialed"] == "911"


def test_the_sample_in_the_tree() -> None:
    check_sample(programs.ROOT / "events")


def test_a_sample_with_fresh_keys(tmp_path: Path) -> None:
    subprocess.run([programs.rust("graph-simulator"), "sample", str(tmp_path)], check=True)
    check_sample(tmp_path)


@pytest.fixture(scope="module")
def graph_simulator():
    """With a subscription per key size, each under a policy of its own."""
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=23)
    with simulator.running() as running:
        for bits in BITS:
            pair = scene.key_pair(f"key-{bits}", bits)
            running.subscribe(f"P{bits}", pair, graph.b64(pair.certificate), scene.CLIENT_STATES[0], until.isoformat())
        yield running


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_the_simulator_delivers(graph_simulator: simulator.Simulator, bits: int, version: str) -> None:
    graph_simulator.control("settings", tokenVersion=version)
    report = graph_simulator.control("dial", number="911", policy=f"P{bits}", wait=True)
    body = graph_simulator.bodies.get(timeout=10)
    pairs = [scene.key_pair(f"key-{each}", each) for each in BITS]
    keyring = scene.keyring(pairs, scene.CLIENT_STATES, graph_simulator.signing_keys())
    policies = [f"P{each}" for each in BITS]
    document = opened_by_all(body, keyring, scene.HOME, scene.CLIENT, policies, graph_simulator.origin, int(time.time()))
    assert document["id"] == report["callId"]
