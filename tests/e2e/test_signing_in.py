"""The app signs in with a certificate that the renewer makes, and with its role in AWS: set up as an operator would do it."""

from __future__ import annotations

import base64
import ssl

import leaks
import pytest
import stack
from processes import stop
from system import System


@pytest.fixture(scope="module")
def elsewhere():
    """A stack of its own, of which Entra knows no client secret."""
    with stack.started("credentials") as description:
        stack.deploy(description, GraphCredential="Certificate", ClientSecret=None, SubscribeOnDeploy="No")
        stack.finish(description)
        system = System(description)
        system.control("credentials", clientSecrets=[])
        yield system
    for process in reversed(description["processes"]):
        stop(process)
    stack.down("credentials")


def asked_for(system) -> dict[str, str]:
    """What the check says must stand in Entra."""
    return {entry["name"]: entry["value"] for entry in system.renew({"action": "check"})["entra"]}


def assert_it_works(system, credential: str) -> None:
    assert system.renew()["ok"]
    assert system.inspect("tokens-issued")[-1]["credential"] == credential
    call = system.dial("911")
    assert [attempt["status"] for attempt in call["attempts"]] == [202]
    [message] = system.receive("alerts")
    assert call["callId"] in message["Message"]


def statement(system, sid: str) -> dict:
    role = system.client("cloudformation").describe_stack_resource(StackName=stack.STACK_NAME, LogicalResourceId="RenewerRole")
    name = role["StackResourceDetail"]["PhysicalResourceId"]
    policy = system.client("iam").get_role_policy(RoleName=name, PolicyName="Renewer")["PolicyDocument"]
    [found] = [each for each in policy["Statement"] if each["Sid"] == sid]
    return found


def test_a_certificate(elsewhere):
    assert statement(elsewhere, "KeepAppCertificates")["Action"] == [
        "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
    ]
    with pytest.raises(RuntimeError, match="no subscription watches"):
        elsewhere.renew()
    der = ssl.PEM_cert_to_DER_cert(asked_for(elsewhere)["Certificate"])

    elsewhere.control("credentials", certificates=[base64.b64encode(der).decode()])

    assert_it_works(elsewhere, "certificate")
    found = leaks.secrets(elsewhere)
    assert [what for what in found if "AppCertificates" in what]
    leaks.assert_nowhere(elsewhere, found)


def test_the_role_in_aws(elsewhere):
    stack.deploy(elsewhere.description, GraphCredential="Federated", ClientSecret=None, SubscribeOnDeploy="No")
    sign_in = statement(elsewhere, "SignInToEntra")
    assert (sign_in["Action"], sign_in["Condition"]["StringEqualsIfExists"]) == ("sts:GetWebIdentityToken", {"sts:SigningAlgorithm": "RS256"})
    entries = asked_for(elsewhere)
    assert entries["Audience"] == "api://AzureADTokenExchange"
    assert ":role/" in entries["Subject identifier"]

    # The deployment says so as long as Entra does not trust the role, and ends well when it does.
    with pytest.raises(stack.Failed):
        stack.deploy(elsewhere.description, GraphCredential="Federated", ClientSecret=None)
    trusted = {"issuer": entries["Issuer"], "subject": entries["Subject identifier"], "audience": entries["Audience"]}
    elsewhere.control("credentials", certificates=[], federated=[{**trusted, "jwks": None}])
    # With another change: the emulator takes the parameters of the failed update for those of the stack.
    stack.deploy(elsewhere.description, GraphCredential="Federated", ClientSecret=None, KeyRotationDays="91")

    assert_it_works(elsewhere, "federated")
    leaks.assert_nowhere(elsewhere, leaks.secrets(elsewhere))
    secrets = elsewhere.client("secretsmanager").list_secrets()["SecretList"]
    assert [each["Name"] for each in secrets if "Keyring" not in each["Name"]] == []


def test_a_client_secret_serves_while_the_app_changes_to_another_credential(elsewhere):
    elsewhere.control("credentials", clientSecrets=[stack.CLIENT_SECRET], federated=[])
    stack.deploy(elsewhere.description, GraphCredential="Certificate", SubscribeOnDeploy="No", KeyRotationDays="92")

    report = elsewhere.renew()

    assert all(policy["outcome"] != "failed" for policy in report["policies"])
    assert not report["ok"] and any("newest credential" in problem for problem in report["problems"])
    der = ssl.PEM_cert_to_DER_cert(asked_for(elsewhere)["Certificate"])
    elsewhere.control("credentials", certificates=[base64.b64encode(der).decode()])
    assert_it_works(elsewhere, "certificate")
