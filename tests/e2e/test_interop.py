"""Notifications that other implementations built, posted to the deployed receiver: their alerts are published."""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))

import graph_reference as graph  # noqa: E402
import programs  # noqa: E402
import scene  # noqa: E402

BITS = [2048, 3072, 4096]
# New names in each run, as the keys are new: a receiver that ran before knows what it does not know.
RUN = uuid.uuid4().hex
KID = f"kid-{RUN}"
CLIENT_STATE = f"state-{RUN}"


def pair(bits: int) -> scene.KeyPair:
    return scene.key_pair(f"interop-{bits}-{RUN}", bits)


@pytest.fixture(scope="module")
def shared_secrets(deployed):
    """Adds keys, a client state and a signing key of this test to the keyring, and takes them away again."""
    secrets, secret = deployed.client("secretsmanager"), deployed.resources["Keyring"]
    before = secrets.get_secret_value(SecretId=secret)["SecretString"]
    ours = json.loads(scene.keyring([pair(bits) for bits in BITS], [CLIENT_STATE], [scene.jwk("any", KID, None)]))
    keyring = json.loads(before)
    # The renewer hands the newest key and client state to Graph: ours come first, so that they are the oldest.
    for member in ("keys", "clientStates"):
        keyring[member] = ours[member] + keyring[member]
    keyring["signingKeys"]["keys"] += ours["signingKeys"]["keys"]
    secrets.put_secret_value(SecretId=secret, SecretString=json.dumps(keyring))
    yield
    secrets.put_secret_value(SecretId=secret, SecretString=before)


def built_by_python(system, bits: int, version: str, call: str) -> str:
    tenant, client, login = system.description["tenantId"], system.description["clientId"], system.description["simulator"]
    content = graph.seal(graph.emergency_document(call, "Global"), pair(bits).certificate, pair(bits).certificate_id)
    item = graph.change_notification(tenant, "Global", CLIENT_STATE, call, content)
    claims = graph.token_claims(version, tenant, client, login, int(time.time()))
    return json.dumps(graph.collection([item], [graph.sign(claims, KID, scene.rsa_key("any"))]))


def built_by_node(system, bits: int, version: str, call: str) -> str:
    order = {
        "do": "build",
        "document": graph.b64(graph.emergency_document(call, "Global")),
        "certificate": graph.b64(pair(bits).certificate),
        "certificateId": pair(bits).certificate_id,
        "tenantId": system.description["tenantId"],
        "clientId": system.description["clientId"],
        "policyName": "Global",
        "clientState": CLIENT_STATE,
        "callId": call,
        "version": version,
        "loginEndpoint": system.description["simulator"],
        "kid": KID,
        "signingKey": graph.private_key_base64(scene.rsa_key("any")),
        "now": int(time.time()),
    }
    return programs.ask_node([order])[0]["body"]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("build", [built_by_python, built_by_node])
def test_what_another_built_is_published(system, shared_secrets, build, version: str, bits: int) -> None:
    call = f"interop-{uuid.uuid4()}"
    body = build(system, bits, version, call).encode()

    alert = published(system, body)

    assert (alert["callId"], alert["verified"], alert["degraded"], alert["isTest"]) == (call, True, False, False)
    assert alert["caller"] == {"displayName": "Zoë Ångström", "upn": "zoe@contoso.example", "phoneNumber": "12065550100"}
    assert alert["raw"] == json.loads(graph.emergency_document(call, "Global"))


def published(system, body: bytes) -> dict:
    """The alert. A receiver that read its keyring less than a second ago cannot know our keys yet, so Graph would repeat
    nothing: the test does, and waits on the queue meanwhile."""
    for _ in range(5):
        status, _, content = system.notify(body)
        assert (status, content) == (202, b"")
        if messages := system.receive("alerts", wait=1):
            [message] = messages
            return json.loads(message["Message"])
    raise AssertionError("nothing was published")
