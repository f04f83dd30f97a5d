"""Writes what the deployed functions are made of, as CycloneDX: sbom/receiver.cdx.json and sbom/renewer.cdx.json.

    .tools/checks/bin/python local/sbom.py [--architecture arm64|x86_64] [--output sbom]

The list is cargo's own: the crates that `cargo tree` names for a function and its processor. What is not linked (macros, and
what only build scripts need) has the scope `excluded`. Rust's standard library and OpenSSL, whose sources come inside of a
crate, are components of their own, so that scanners find what is published about them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ["receiver", "renewer"]
TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
VERSION = SchemaVersion.V1_6

# How deep, which crate, notes such as the directory of one of ours, the licence; an asterisk where a branch was shown before.
LINE = re.compile(r"^(?P<depth>\d+) (?P<name>\S+) v(?P<version>\S+)(?P<notes>[^|]*)\|(?P<licence>.*?)( \(\*\))?$")
LOCKED = re.compile(r'^name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "(.+)"$', re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--architecture", choices=TARGETS, default="arm64")
    parser.add_argument("--output", type=Path, default=ROOT / "sbom")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    for function in FUNCTIONS:
        text = make_outputter(bom(function, TARGETS[chosen.architecture]), OutputFormat.JSON, VERSION).output_as_string(indent=2)
        problem = JsonStrictValidator(VERSION).validate_str(text)
        if problem:
            sys.exit(f"The list for {function} is no CycloneDX: {problem}")
        file = chosen.output / f"{function}.cdx.json"
        file.write_text(text + "\n")
        print(file)


def bom(function: str, target: str) -> Bom:
    """The components of one function and what needs what."""
    linked = {key(line) for line in tree(function, target, "normal,no-proc-macro")}
    checksums = {(name, version): checksum for name, version, checksum in LOCKED.findall((ROOT / "Cargo.lock").read_text())}
    components: dict[tuple[str, str], Component] = {}
    needs: dict[tuple[str, str], set[tuple[str, str]]] = {}
    above: list[tuple[str, str]] = []
    for line in tree(function, target, "normal,build"):
        this = key(line)
        del above[int(line["depth"]):]
        if above:
            needs.setdefault(above[-1], set()).add(this)
        above.append(this)
        if this not in components:
            components[this] = component(line, this in linked, checksums.get(this))
    whole = components.pop(above[0])
    whole.type, whole.scope = ComponentType.APPLICATION, None
    made = Bom()
    made.metadata.component = whole
    made.components.update(components.values())
    parts = {above[0]: whole, **components}
    for this, part in parts.items():
        made.register_dependency(part, [parts[other] for other in sorted(needs.get(this, ()))])
    for inner, needed_by in [(standard_library(), whole), *(vendored(parts[this]) for this in parts if this[0] == "openssl-src")]:
        made.components.add(inner)
        made.register_dependency(needed_by, [inner])
    return made


def tree(function: str, target: str, edges: str) -> list[re.Match]:
    """The crates of a function, each below one that needs it."""
    command = ["cargo", "tree", "--locked", "--package", function, "--target", target, "--edges", edges]
    lines = output_of(*command, "--prefix", "depth", "--format", " {p}|{l}").splitlines()
    return [LINE.match(line) or sys.exit(f"cargo tree says what this program does not understand: {line}") for line in lines]


def output_of(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return done.stdout if done.returncode == 0 else sys.exit(f"Failed: {' '.join(command)}")


def key(line: re.Match) -> tuple[str, str]:
    return line["name"], line["version"]


def component(line: re.Match, linked: bool, checksum: str | None) -> Component:
    name, version = key(line)
    # The workspace's own crates are on no registry, and have no checksum there.
    registered = PackageURL("cargo", name=name, version=version) if checksum else None
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        scope=ComponentScope.REQUIRED if linked else ComponentScope.EXCLUDED,
        # Older crates separate licences with a slash, which SPDX does not know.
        licenses=[LicenseExpression(line["licence"].replace("/", " OR "))],
        purl=registered,
        bom_ref=str(registered or f"{name}@{version}"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
    )


def vendored(sources: Component) -> tuple[Component, Component]:
    """OpenSSL, which is built from the crate's sources and linked, and that crate."""
    version = sources.version.split("+")[1]
    place = PackageURL("generic", name="openssl", version=version)
    library = Component(
        name="openssl",
        version=version,
        type=ComponentType.LIBRARY,
        scope=ComponentScope.REQUIRED,
        licenses=[LicenseExpression("Apache-2.0")],
        purl=place,
        bom_ref=str(place),
        cpe=f"cpe:2.3:a:openssl:openssl:{version}:*:*:*:*:*:*:*",
    )
    return library, sources


def standard_library() -> Component:
    """Rust's, of the toolchain that builds here."""
    version = output_of("rustc", "--version").split()[1]
    place = PackageURL("generic", name="rust", version=version)
    return Component(
        name="rust-std",
        version=version,
        type=ComponentType.LIBRARY,
        scope=ComponentScope.REQUIRED,
        licenses=[LicenseExpression("MIT OR Apache-2.0")],
        purl=place,
        bom_ref=str(place),
        cpe=f"cpe:2.3:a:rust-lang:rust:{version}:*:*:*:*:*:*:*",
    )


if __name__ == "__main__":
    main()
