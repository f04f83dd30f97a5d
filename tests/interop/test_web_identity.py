"""The tokens that the local stack's front gives out for AWS: for the caller's role, and good for the Graph simulator."""

from __future__ import annotations

import io
import json
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import jwt
import pytest
from botocore.exceptions import ClientError

import entra_reference as entra
import programs
import simulator

sys.path.insert(0, str(programs.ROOT / "local"))

import stack  # noqa: E402

AUDIENCE = "api://AzureADTokenExchange"
# Gives whoever invokes it its own credentials.
FUNCTION = "import os\ndef handler(event, context):\n    return {name: os.environ[name] for name in event}\n"


@dataclass
class Aws:
    """An account with one function, which may call sts:GetWebIdentityToken."""

    front: str
    role: str
    function: dict[str, str]

    def owners(self, service: str):
        return client(self.front, service, {"aws_access_key_id": "test", "aws_secret_access_key": "test"})

    def issuer(self) -> str:
        return f"{self.front}/_local/issuer"

    def token(self, **parameters: object) -> str:
        asked = {"Audience": [AUDIENCE], "SigningAlgorithm": "RS256"} | parameters
        return client(self.front, "sts", self.function).get_web_identity_token(**asked)["WebIdentityToken"]


def client(front: str, service: str, credentials: dict[str, str]):
    return boto3.client(service, endpoint_url=front, region_name="us-east-1", **credentials)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with stack.aws_alone(tmp_path_factory.mktemp("aws")) as running:
        account = Aws(running["front"], "", {})
        account.role = make_role(account.owners("iam"))
        account.function = credentials_of_function(account)
        yield account


def make_role(iam) -> str:
    def policy(**statement: object) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})

    trust = policy(Principal={"Service": "lambda.amazonaws.com"}, Action="sts:AssumeRole")
    role = iam.create_role(RoleName="Renewer", Path="/emergency/", AssumeRolePolicyDocument=trust)["Role"]
    document = policy(Action="sts:GetWebIdentityToken", Resource="*")
    iam.put_role_policy(RoleName="Renewer", PolicyName="Tokens", PolicyDocument=document)
    return role["Arn"]


def credentials_of_function(account: Aws) -> dict[str, str]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as contents:
        contents.writestr("function.py", FUNCTION)
    functions = account.owners("lambda")
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    functions.create_function(
        FunctionName="renewer", Runtime=runtime, Role=account.role, Handler="function.handler", Code={"ZipFile": archive.getvalue()}
    )
    names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    answer = functions.invoke(FunctionName="renewer", Payload=json.dumps(names))["Payload"].read()
    return {name.lower(): value for name, value in json.loads(answer).items()}


def claims_of(aws: Aws, token: str) -> dict:
    """The claims, under the key that the issuer's own documents lead to."""
    with urllib.request.urlopen(f"{aws.issuer()}/.well-known/openid-configuration", timeout=60) as answer:
        configuration = json.load(answer)
    assert configuration["issuer"] == aws.issuer()
    algorithm = jwt.get_unverified_header(token)["alg"]
    assert algorithm in configuration["id_token_signing_alg_values_supported"]
    key = jwt.PyJWKClient(configuration["jwks_uri"]).get_signing_key_from_jwt(token)
    return jwt.decode(token, key, algorithms=[algorithm], audience=AUDIENCE, issuer=aws.issuer())


def test_the_token_names_the_callers_role(aws: Aws) -> None:
    token = aws.token()
    assert jwt.get_unverified_header(token)["alg"] == "RS256"
    claims = claims_of(aws, token)
    assert (claims["sub"], claims["aud"]) == (aws.role, AUDIENCE)
    assert aws.role.endswith(":role/emergency/Renewer")
    assert claims["exp"] - claims["iat"] == 300
    assert claims["https://sts.amazonaws.com/"] == {"aws_account": aws.role.split(":")[4], "source_region": "us-east-1"}
    assert claims_of(aws, aws.token())["jti"] != claims["jti"]


def test_the_parameters_are_those_of_aws(aws: Aws) -> None:
    claims = claims_of(aws, aws.token(DurationSeconds=3600))
    assert claims["exp"] - claims["iat"] == 3600
    token = aws.token(SigningAlgorithm="ES384")
    assert jwt.get_unverified_header(token)["alg"] == "ES384" and claims_of(aws, token)["sub"] == aws.role
    with pytest.raises(ClientError):
        aws.token(SigningAlgorithm="HS256")


def test_without_the_permission_there_is_no_token(aws: Aws) -> None:
    owner = aws.owners("iam")
    document = owner.get_role_policy(RoleName="Renewer", PolicyName="Tokens")["PolicyDocument"]
    owner.delete_role_policy(RoleName="Renewer", PolicyName="Tokens")
    try:
        with pytest.raises(ClientError, match="AccessDenied"):
            aws.token()
    finally:
        owner.put_role_policy(RoleName="Renewer", PolicyName="Tokens", PolicyDocument=json.dumps(document))


def test_a_fault_can_say_that_federation_is_off(aws: Aws) -> None:
    code = "OutboundWebIdentityFederationDisabledException"
    fault = {"service": "sts", "action": "GetWebIdentityToken", "status": 403, "code": code, "times": 1}
    urllib.request.urlopen(f"{aws.front}/_local/faults", json.dumps(fault).encode(), timeout=60).close()
    with pytest.raises(ClientError, match=code):
        aws.token()
    assert aws.token()


def test_the_simulator_exchanges_it(aws: Aws) -> None:
    credential = {"issuer": aws.issuer(), "subject": aws.role, "audience": AUDIENCE}
    with simulator.running() as running:
        running.control("credentials", federated=[credential])

        def codes(token: str) -> list[int]:
            return running.codes(client_assertion_type=entra.JWT_BEARER, client_assertion=token)

        assert codes(aws.token()) == []
        assert codes(aws.token(SigningAlgorithm="ES384")) == [5002738]
        assert codes(aws.token(Audience=["another"])) == [7002121]
        running.control("credentials", federated=[credential | {"subject": aws.role.replace("/emergency", "")}])
        assert codes(aws.token()) == [700213]
