"""The corpus of forgeries, posted to the deployed receiver: nothing is raised, and the answers tell nothing.

`tests/forgeries/README.md` describes the corpus. The same cases run against the handler in `tests/tests/forgeries.rs`, which also checks
that each is refused for the reason that it is made for.
"""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import urllib.parse
from collections import Counter

import pytest
from dialling import alerts_in
from stack import ROOT, target_directory

# Other methods are for the gateway to answer, as it does.
GATEWAYS_OWN = {"request"}

# These have answers of their own.
HANDSHAKE = {"handshake"}

# What differs between two answers of any server.
OF_THE_MOMENT = {"date", "x-amzn-requestid", "apigw-requestid", "x-amz-apigw-id", "x-amzn-trace-id", "x-request-id", "x-amz-request-id", "x-amz-id-2"}


@pytest.fixture(scope="module")
def corpus(deployed, tmp_path_factory):
    """The corpus, made for the simulator's sign-in host, and the receiver set up for it."""
    folder = tmp_path_factory.mktemp("forgeries")
    program = target_directory() / "debug/forgeries"
    subprocess.run([program, folder, deployed.description["simulator"]], cwd=ROOT, check=True, capture_output=True)
    functions, secrets = deployed.client("lambda"), deployed.client("secretsmanager")
    name, keyring = deployed.outputs["ReceiverFunctionName"], deployed.resources["Keyring"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    kept = secrets.get_secret_value(SecretId=keyring)["SecretString"]
    setting = json.loads((folder / "receiver/environment.json").read_text())
    # A lifecycle item with the right client state starts the renewer, which would put the simulator's keys into the keyring.
    rule = {"Name": deployed.resources["RenewerFunctionLifecycle"].rpartition("|")[2], "EventBusName": deployed.outputs["EventBusName"]}
    deployed.client("events").disable_rule(**rule)
    secrets.put_secret_value(SecretId=keyring, SecretString=(folder / "receiver/keyring.json").read_text())
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**before, **setting}})
    try:
        yield {path.stem: json.loads(path.read_text())["cases"] for path in sorted(folder.glob("*.json"))}
    finally:
        secrets.put_secret_value(SecretId=keyring, SecretString=kept)
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": before})
        deployed.client("events").enable_rule(**rule)


def test_nothing_but_what_is_authentic_alerts_and_no_answer_tells_which(system, corpus):
    answers = Counter()
    expected: dict[str, str] = {}
    for group, cases in corpus.items():
        for case in filter(can_be_posted, cases):
            status, headers, body = post(system, case["request"])
            if group in GATEWAYS_OWN and not case["expect"]["alerts"]:
                assert status in {202, *range(400, 500)}, (case["id"], status)
                continue
            assert status in case["expect"]["status"], (case["id"], status)
            if group not in HANDSHAKE:
                answers[status, frozenset(headers.items()), body] += 1
            if case["expect"]["alerts"]:
                expected[case["expect"]["callId"]] = case["id"]

    raised = alerts_in(system, "alerts") + alerts_in(system, "tests")

    assert sorted(alert["callId"] for alert in raised) == sorted(expected), {alert["callId"] for alert in raised} ^ set(expected)
    degraded = {expected[alert["callId"]].partition("/")[0] for alert in raised if alert["degraded"]}
    assert degraded == {"content"}
    assert {status for status, _, _ in answers} == {202, 400}
    assert len(answers) == 2, [(status, dict(headers), body, count) for (status, headers, body), count in answers.items()]


def post(system, request: dict) -> tuple[int, dict, bytes]:
    """Sends a case as it stands. A client with good manners would mend some of them."""
    address = urllib.parse.urlsplit(system.description["front"])
    host, _, path = system.outputs["NotificationUrl"].removeprefix("https://").partition("/")
    body = content(request)
    target = f"/{path}" + (f"?{request['query']}" if request["query"] else "")
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        connection.putrequest(request["method"], target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"host": host, **request["headers"], "content-length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in OF_THE_MOMENT}
        return answer.status, headers, answer.read()
    finally:
        connection.close()


def can_be_posted(case: dict) -> bool:
    """Whether the case means the same here. Tokens with unknown keys are judged by the keys that the sign-in host publishes, and the
    simulator does not publish the corpus's; and the emulator's gateway mends a body that is no UTF-8."""
    if case["expect"].get("reason") == "TokenUnknownKey":
        return False
    try:
        content(case["request"]).decode()
    except UnicodeDecodeError:
        return False
    return True


def content(request: dict) -> bytes:
    if "bodyBase64" in request:
        return base64.b64decode(request["bodyBase64"])
    if "bodyRepeated" in request:
        repeated = request["bodyRepeated"]
        return (repeated["before"] + repeated["repeated"] * repeated["times"] + repeated["after"]).encode()
    return request["body"].encode()
