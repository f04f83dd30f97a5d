"""What a web page in the developer's browser can do to the emulator and the proxy while the demonstration or the tests run: nothing."""

from __future__ import annotations

import base64
import http.client
import io
import json
import sys
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

import programs

sys.path.insert(0, str(programs.ROOT / "local"))

import stack  # noqa: E402
from browser_requests import refusal  # noqa: E402

PAGE = "https://page.example"
# What needs no preflight: a page may send these to anybody.
FORM, TEXT = "application/x-www-form-urlencoded", "text/plain;charset=UTF-8"
FUNCTION = "def handler(event, context):\n    open(event['file'], 'w').close()\n"
CROSS_SITE = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
SERVERS = ["front", "emulator"]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with stack.aws_alone(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(params=SERVERS)
def address(request: pytest.FixtureRequest, aws: dict[str, str]) -> str:
    """Host and port of each server that a page could address."""
    return aws[request.param].removeprefix("http://")


def owners(address: str, service: str):
    return boto3.client(
        service, endpoint_url=f"http://{address}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def sent(address: str, method: str, path: str, headers: list[tuple[str, str]], body: str = "") -> tuple[int, dict[str, str], bytes]:
    """Sends exactly these headers, besides the length; gives status, headers and body of the answer."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def signed_by_the_owner(service: str) -> str:
    """A page knows the made-up credentials, and may put them where no header is needed. The emulator checks no signature of the owner's."""
    return urllib.parse.urlencode({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"test/20260101/us-east-1/{service}/aws4_request",
        "X-Amz-Date": "20260101T000000Z", "X-Amz-Expires": "604800", "X-Amz-SignedHeaders": "host", "X-Amz-Signature": "0" * 64,
    })


def take_over(address: str, name: str, file: Path, headers: dict[str, str]) -> list[int]:
    """Makes a role and a function and invokes it, as a page would; gives the three answers' statuses. The function makes the file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as contents:
        contents.writestr("function.py", FUNCTION)
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]}
    role = {"Action": "CreateRole", "Version": "2010-05-08", "RoleName": name, "AssumeRolePolicyDocument": json.dumps(trust)}
    function = {
        "FunctionName": name, "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}", "Handler": "function.handler",
        "Role": f"arn:aws:iam::000000000000:role/{name}", "Code": {"ZipFile": base64.b64encode(archive.getvalue()).decode()},
    }
    requests = [
        (f"/?{signed_by_the_owner('iam')}", FORM, urllib.parse.urlencode(role)),
        (f"/2015-03-31/functions?{signed_by_the_owner('lambda')}", TEXT, json.dumps(function)),
        (f"/2015-03-31/functions/{name}/invocations?{signed_by_the_owner('lambda')}", TEXT, json.dumps({"file": str(file)})),
    ]
    return [sent(address, "POST", path, [*headers.items(), ("Content-Type", kind)], body)[0] for path, kind, body in requests]


def exists(get, **names: str) -> bool:
    try:
        get(**names)
    except ClientError as refused:
        assert refused.response["Error"]["Code"] in ("NoSuchEntity", "ResourceNotFoundException"), refused
        return False
    return True


def pages(address: str) -> dict[str, dict[str, str]]:
    """The headers of a page's requests, by how the page goes about it."""
    port = address.rpartition(":")[2]
    return {
        "cross-site": {"Host": address, **CROSS_SITE},
        "by-name": {"Host": f"localhost:{port}", **CROSS_SITE},
        "sandboxed": {"Host": address, "Origin": "null"},
        "old-browser": {"Host": address, "Origin": PAGE},
        "other-local-server": {"Host": address, "Sec-Fetch-Site": "same-site"},
        "rebinding": {"Host": f"page.example:{port}"},
        "rebinding-as-ours": {"Host": f"127.0.0.1.page.example:{port}"},
    }


@pytest.mark.parametrize("how", pages("127.0.0.1:80"))
def test_a_page_creates_and_runs_no_function(address: str, how: str, tmp_path: Path) -> None:
    name, file = f"page-{how}-{address.rpartition(':')[2]}", tmp_path / "was-run"
    assert take_over(address, name, file, pages(address)[how]) == [403, 403, 403]
    assert not exists(owners(address, "iam").get_role, RoleName=name)
    assert not exists(owners(address, "lambda").get_function, FunctionName=name)
    assert not file.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_same_requests_of_a_program_do(address: str, host: str, tmp_path: Path) -> None:
    # Otherwise the test above would prove nothing.
    port = address.rpartition(":")[2]
    assert take_over(address, f"program-{host}-{port}", tmp_path / "was-run", {"Host": f"{host}:{port}"}) == [200, 201, 200]
    assert (tmp_path / "was-run").exists()


def test_no_preflight_is_granted_and_nothing_can_be_read(address: str) -> None:
    asked = {"Host": address, "Origin": PAGE, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    for method, path in (("OPTIONS", "/"), ("GET", "/_local/deliveries"), ("GET", "/_ministack/health"), ("DELETE", "/_local/faults")):
        status, headers, _ = sent(address, method, path, [*asked.items()])
        assert status == 403
        assert not [name for name in headers if name.startswith("access-control-")]


def test_no_websocket_opens(address: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert sent(address, "GET", "/", [("Host", address), ("Origin", PAGE), *upgrade.items()])[0] == 403


def test_ordinary_clients_are_answered(aws: dict[str, str], address: str) -> None:
    buckets = owners(address, "s3")
    buckets.create_bucket(Bucket=f"files-{address.rpartition(':')[2]}")
    assert owners(address, "sts").get_caller_identity()["Account"] == "000000000000"
    # An API is called by its own name. There is none, which only the emulator can know.
    assert sent(address, "GET", "/", [("Host", "abcd1234.execute-api.localhost")])[0] == 404
    assert sent(aws["front"].removeprefix("http://"), "GET", "/_local/deliveries", [("Host", aws["front"].removeprefix("http://"))])[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost:4566", "LOCALHOST:4566", "[::1]:4566", "localhost:4567", "a1.execute-api.localhost"])
def test_the_servers_own_names(host: str) -> None:
    assert refusal([("Host", host)], {4566, 4567}) is None


@pytest.mark.parametrize("headers", [
    [],
    [("Host", "localhost:4566"), ("Host", "localhost:4566")],
    [("Host", "")],
    [("Host", "localhost")],
    [("Host", "localhost:80")],
    [("Host", "localhost:4566@page.example")],
    [("Host", "localhost:4566\n")],
    [("Host", "page.example")],
    [("Host", "localhost.page.example:4566")],
    [("Host", "alocalhost:4566")],
    [("Host", "192.168.1.20:4566")],
    [("Host", "0.0.0.0:4566")],
    [("Host", "a1.execute-api.us-east-1.amazonaws.com.page.example")],
    [("Host", "a1.execute-api.page.example")],
    [("host", "localhost:4566"), ("origin", "")],
    [("ORIGIN", "http://localhost:4566"), ("HOST", "localhost:4566")],
    [("Host", "localhost:4566"), ("Sec-Fetch-Site", "same-origin")],
    [("Host", "localhost:4566"), ("Sec-Fetch-Site", "none")],
])
def test_all_else_is_refused_with_a_reason(headers: list[tuple[str, str]]) -> None:
    assert refusal(headers, {4566})
