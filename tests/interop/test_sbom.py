"""What `make sbom` says the functions are made of, held against Cargo.lock, the schema and the build's own rules."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from programs import ROOT

CHECKS = ROOT / ".tools/checks/bin/python"
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or "") or 0)
"""


@pytest.fixture(scope="module", params=["receiver", "renewer"])
def text(request, tmp_path_factory) -> str:
    return written(tmp_path_factory.getbasetemp() / "sbom", request.param)


def written(directory: Path, function: str) -> str:
    file = directory / f"{function}.cdx.json"
    if not file.is_file():
        subprocess.run([sys.executable, str(ROOT / "local/tools.py"), "checks"], check=True)
        subprocess.run([str(CHECKS), str(ROOT / "local/sbom.py"), "--output", str(directory)], check=True)
    return file.read_text()


@pytest.fixture
def components(text: str) -> dict[tuple[str, str], dict]:
    return {(each["name"], each["version"]): each for each in json.loads(text)["components"]}


def locked() -> dict[tuple[str, str], str | None]:
    """The crates of Cargo.lock and their checksums."""
    blocks = (ROOT / "Cargo.lock").read_text().split("[[package]]")[1:]
    pairs = [dict(re.findall(r'^(name|version|checksum) = "(.+)"$', block, re.MULTILINE)) for block in blocks]
    return {(each["name"], each["version"]): each.get("checksum") for each in pairs}


def test_it_is_cyclonedx(text: str) -> None:
    done = subprocess.run([str(CHECKS), "-c", VALIDATE], input=text, text=True, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr


def test_every_crate_is_the_locked_one(components: dict) -> None:
    crates = {key: each for key, each in components.items() if each.get("purl", "pkg:cargo/").startswith("pkg:cargo/")}
    expected = locked()
    assert len(crates) > 100
    for this, crate in crates.items():
        hashes = [(each["alg"], each["content"]) for each in crate.get("hashes", [])]
        assert hashes == ([("SHA-256", expected[this])] if expected[this] else []), this
        assert crate["licenses"], this


def test_the_openssl_inside_of_a_crate_is_named(components: dict, text: str) -> None:
    [(_, sources)] = [this for this in locked() if this[0] == "openssl-src"]
    version = sources.split("+")[1]
    assert components["openssl", version]["cpe"] == f"cpe:2.3:a:openssl:openssl:{version}:*:*:*:*:*:*:*"
    needed_by = [each["ref"] for each in json.loads(text)["dependencies"] if f"pkg:generic/openssl@{version}" in each.get("dependsOn", [])]
    assert [ref.split("@")[0] for ref in needed_by] == ["pkg:cargo/openssl-src"]


def test_what_is_linked_is_told_from_what_only_builds(components: dict) -> None:
    scopes = {name: each["scope"] for (name, _), each in components.items()}
    for linked in ("rust-std", "ring", "rustls", "openssl-sys", "graph-notifications", "aws-sdk-secretsmanager", "tokio"):
        assert scopes[linked] == "required", linked
    for builds in ("serde_derive", "openssl-src", "cc", "proc-macro2"):
        assert scopes[builds] == "excluded", builds


def test_tests_and_other_platforms_are_not_in_it(components: dict) -> None:
    names = {name for name, _ in components}
    assert not names & {"proptest", "insta", "jsonschema", "axum", "windows-sys", "end-to-end", "aws-lc-rs", "security-framework"}


def test_what_needs_what_is_complete(text: str) -> None:
    document = json.loads(text)
    parts = {each["bom-ref"] for each in document["components"]} | {document["metadata"]["component"]["bom-ref"]}
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert needs.keys() == parts
    reached, to_visit = set(), [document["metadata"]["component"]["bom-ref"]]
    while to_visit:
        this = to_visit.pop()
        if this not in reached:
            reached.add(this)
            to_visit += needs[this]
    assert reached == parts


def test_a_function_needs_what_its_manifest_names(text: str) -> None:
    document = json.loads(text)
    whole = document["metadata"]["component"]
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    [package] = [each for each in json.loads(done.stdout)["packages"] if each["name"] == whole["name"]]
    [needs] = [each["dependsOn"] for each in document["dependencies"] if each["ref"] == whole["bom-ref"]]
    names = {each["bom-ref"]: each["name"] for each in document["components"]}
    assert {names[ref] for ref in needs} - {"rust-std"} == {each["name"] for each in package["dependencies"] if each["kind"] is None}
