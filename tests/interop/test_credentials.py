"""Client assertions between Python, the Rust crate and the Graph simulator, which share no code."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import jwt
import pytest

import entra_reference as entra
import graph_reference as graph
import programs
import scene
import simulator

ROLE = "CallEvents-Emergency.Read.All"
ISSUER = "https://issuer.example"
SUBJECT = "arn:aws:iam::000000000000:role/Renewer"
AUDIENCE = "api://AzureADTokenExchange"


def registered() -> scene.KeyPair:
    return scene.key_pair("registered with the app")


@pytest.fixture(scope="module")
def entra_simulator() -> Iterator[simulator.Simulator]:
    """With a certificate and a trusted issuer beside the secret."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk(scene.rsa_key("issuer").public_key(), as_dict=True)
    credential = {"issuer": ISSUER, "subject": SUBJECT, "audience": AUDIENCE, "jwks": {"keys": [{**public, "kid": "one"}]}}
    with simulator.running() as running:
        running.control("credentials", certificates=[graph.b64(registered().certificate)], federated=[credential])
        yield running


def audience(origin: str) -> str:
    return f"{origin}/{scene.HOME}/oauth2/v2.0/token"


def codes(running: simulator.Simulator, assertion: str) -> list[int]:
    return running.codes(client_assertion_type=entra.JWT_BEARER, client_assertion=assertion)


def changed(claim: str, value: object):
    return lambda header, claims: claims.__setitem__(claim, value)


def without(claim: str):
    return lambda header, claims: claims.pop(claim)


ASSERTIONS = {
    "good": (lambda header, claims: None, []),
    "ten minutes": (lambda header, claims: claims.update(exp=claims["nbf"] + 600), []),
    "eleven minutes": (lambda header, claims: claims.update(exp=claims["nbf"] + 660), [700024]),
    "over": (lambda header, claims: claims.update(nbf=claims["nbf"] - 400, exp=claims["exp"] - 400), [700024]),
    "not begun": (lambda header, claims: claims.update(nbf=claims["nbf"] + 400, exp=claims["exp"] + 400), [700024]),
    "RS256": (lambda header, claims: header.update(alg="RS256"), [700027]),
    "PS384": (lambda header, claims: header.update(alg="PS384"), [700027]),
    "another's thumbprint": (lambda header, claims: header.update({"x5t#S256": entra.digest(b"another")}), [700027]),
    "no thumbprint": (lambda header, claims: header.pop("x5t#S256"), [700027]),
    "another tenant's endpoint": (lambda header, claims: claims.update(aud=claims["aud"].replace(scene.HOME, scene.OTHER)), [50027]),
    "the issuer as audience": (lambda header, claims: claims.update(aud=claims["aud"].partition("/oauth2")[0] + "/v2.0"), [50027]),
    "another issuer": (changed("iss", scene.STRANGER), [700211]),
    "another subject": (changed("sub", scene.STRANGER), [700021]),
    "no GUID": (changed("jti", "1"), [50027]),
    "no end": (without("exp"), [50027]),
    "no beginning": (without("nbf"), [50027]),
}


@pytest.mark.parametrize("name", ASSERTIONS)
def test_the_simulator_judges_what_python_signs(entra_simulator: simulator.Simulator, name: str) -> None:
    change, expected = ASSERTIONS[name]
    header, claims = entra.header(registered()), entra.claims(audience(entra_simulator.origin))
    change(header, claims)
    assertion = entra.signed(registered(), header, claims)
    assert codes(entra_simulator, assertion) == expected
    if not expected:
        assert codes(entra_simulator, assertion) == [50027], "an assertion is good once"


def test_a_spoiled_signature_is_refused(entra_simulator: simulator.Simulator) -> None:
    header, claims = entra.header(registered()), entra.claims(audience(entra_simulator.origin))
    forged = entra.signed(scene.key_pair("unknown to the app"), header, claims)
    assert codes(entra_simulator, forged) == [700027]
    good = entra.signed(registered(), header, claims)
    longer = entra.signed(registered(), header, claims | {"exp": claims["exp"] + 1})
    swapped = ".".join([*longer.split(".")[:2], good.split(".")[2]])
    assert codes(entra_simulator, swapped) == [700027]


FOREIGN = {
    "good": ({}, {}, []),
    "another kid": ({"kid": "two"}, {}, [7000272]),
    "PS256": ({"alg": "PS256"}, {}, [5002738]),
    "another issuer": ({}, {"iss": ISSUER + "/"}, [700211]),
    "the session's ARN": ({}, {"sub": "arn:aws:sts::000000000000:assumed-role/Renewer/session"}, [700213]),
    "another audience": ({}, {"aud": AUDIENCE.lower()}, [7002121]),
    "over": ({}, {"exp": 1_700_000_000}, [700024]),
}


def foreign_token(header: dict[str, str], claims: dict[str, object]) -> str:
    now = int(time.time())
    all_claims = {"iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())} | claims
    return jwt.encode(all_claims, scene.rsa_key("issuer"), header.get("alg", "RS256"), {"kid": "one"} | header)


@pytest.mark.parametrize("name", FOREIGN)
def test_the_simulator_judges_another_issuers_tokens(entra_simulator: simulator.Simulator, name: str) -> None:
    header, claims, expected = FOREIGN[name]
    assert codes(entra_simulator, foreign_token(header, claims)) == expected


def question(login_endpoint: str, credential: dict[str, str]) -> dict[str, object]:
    ids = {"tenantId": scene.HOME, "clientId": scene.CLIENT}
    return {"loginEndpoint": login_endpoint, "scope": f"{login_endpoint}/.default", "credential": credential, **ids}


def rust_certificate(pair: scene.KeyPair) -> dict[str, str]:
    return {"certificate": graph.b64(pair.certificate), "privateKey": graph.private_key_base64(pair.private_key)}


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_python_judges_what_rust_signs(bits: int) -> None:
    pair = scene.key_pair(f"of {bits} bits", bits)
    with entra.token_endpoint() as (login_endpoint, forms):
        ids = set()
        for _ in range(2):
            assert programs.ask_for_token(question(login_endpoint, rust_certificate(pair))) == {"ok": True, "roles": ["A"]}
            path, form = forms.get(timeout=10)
            assert path == f"/{scene.HOME}/oauth2/v2.0/token"
            claims = entra.judged(form.pop("client_assertion"), pair.certificate, login_endpoint + path)
            assert form == {
                "grant_type": "client_credentials",
                "client_id": scene.CLIENT,
                "scope": f"{login_endpoint}/.default",
                "client_assertion_type": entra.JWT_BEARER,
            }
            assert claims["nbf"] == claims["iat"] and claims["exp"] - claims["nbf"] == 300
            ids.add(uuid.UUID(claims["jti"]))
        assert len(ids) == 2


def test_the_simulator_gives_rust_a_token_for_each_credential(entra_simulator: simulator.Simulator) -> None:
    token = {"federated": foreign_token({}, {})}
    for credential in [{"clientSecret": simulator.SECRET}, rust_certificate(registered()), token]:
        answer = programs.ask_for_token(question(entra_simulator.origin, credential))
        assert answer == {"ok": True, "roles": [ROLE]}
    unknown = rust_certificate(scene.key_pair("unknown to the app"))
    answer = programs.ask_for_token(question(entra_simulator.origin, unknown))
    assert answer["codes"] == [700027] and "Certificates & secrets" in answer["error"]
