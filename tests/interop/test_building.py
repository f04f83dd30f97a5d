"""What Python and Node build is accepted, and the resource comes out as it went in."""

from __future__ import annotations

import json

import pytest

import graph_reference as graph
import programs
import scene

BITS = [2048, 3072, 4096]
VERSIONS = ["1.0", "2.0"]
DOCUMENT = graph.emergency_document("call-1", "Global")


def pair(bits: int) -> scene.KeyPair:
    return scene.key_pair(f"key-{bits}", bits)


def built_by_python(bits: int, version: str) -> str:
    content = graph.seal(DOCUMENT, pair(bits).certificate, pair(bits).certificate_id)
    item = graph.change_notification(scene.HOME, "Global", scene.CLIENT_STATES[0], "call-1", content)
    claims = graph.token_claims(version, scene.HOME, scene.CLIENT, scene.LOGIN, scene.NOW)
    return json.dumps(graph.collection([item], [graph.sign(claims, "kid-any", scene.rsa_key("any"))]))


def built_by_node(bits: int, version: str) -> str:
    order = {
        "do": "build",
        "document": graph.b64(DOCUMENT),
        "certificate": graph.b64(pair(bits).certificate),
        "certificateId": pair(bits).certificate_id,
        "tenantId": scene.HOME,
        "clientId": scene.CLIENT,
        "policyName": "Global",
        "clientState": scene.CLIENT_STATES[0],
        "callId": "call-1",
        "version": version,
        "loginEndpoint": scene.LOGIN,
        "kid": "kid-any",
        "signingKey": graph.private_key_base64(scene.rsa_key("any")),
        "now": scene.NOW,
    }
    return programs.ask_node([order])[0]["body"]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("build", [built_by_python, built_by_node])
def test_all_read_what_another_built(build, version: str, bits: int) -> None:
    body = build(bits, version)
    pairs = [pair(each) for each in BITS]
    for opinions in (programs.ask_rust(scene.settings(pairs), [body])[0], scene.judge(pairs).judge(body)):
        assert opinions is not None
        assert [(opinion.verdict, opinion.resource) for opinion in opinions] == [("verified", DOCUMENT)]
    content = json.loads(body)["value"][0]["encryptedContent"]
    assert opened_by_node(content, pair(bits)) == {"resource": graph.b64(DOCUMENT)}


def test_node_refuses_a_wrong_signature() -> None:
    content = graph.seal(DOCUMENT, pair(2048).certificate, "key-2048", graph.Sealing(sign_text=True))
    assert "error" in opened_by_node(content, pair(2048))


def opened_by_node(content: dict[str, str], key: scene.KeyPair) -> dict:
    return programs.ask_node([{"do": "open", "content": content, "privateKey": graph.private_key_base64(key.private_key)}])[0]
