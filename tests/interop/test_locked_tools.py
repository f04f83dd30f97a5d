"""The tools of tests, builds and checks: each is named with all that it needs, by version and hash, and nothing else is installed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import programs

sys.path.insert(0, str(programs.ROOT / "local"))

import tools  # noqa: E402

NAMES = sorted(tools.WHAT)
# A version, perhaps a marker for what only some systems need, and the hashes of that release's files.
LOCKED = re.compile(r"(?P<name>[a-z0-9-]+)(?:\[[a-z0-9, -]+\])?==(?P<version>[^\s;]+)(?: ; [^\\]+)?(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
NAMED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[A-Za-z0-9,-]+\])?==(?P<version>\S+)")
PACKAGE_LOCKS = ["local/load", "tests/interop/chromium"]


def locked(name: str) -> dict[str, set[str]]:
    """The versions in a lock by package: a package may have others on other systems."""
    text = (tools.LOCKS / f"{name}.txt").read_text()
    entries = list(LOCKED.finditer(text))
    # Every byte of the file is part of an entry: no address of a registry, no package without a hash.
    assert "".join(entry[0] for entry in entries) == text
    found: dict[str, set[str]] = {}
    for entry in entries:
        found.setdefault(entry["name"], set()).add(entry["version"])
    return found


def test_every_set_of_tools_has_requirements_and_a_lock() -> None:
    files = tools.ROOT.glob("local/requirements-*.txt")
    assert sorted(file.stem.removeprefix("requirements-") for file in files) == NAMES
    assert sorted(file.stem for file in tools.LOCKS.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_locked_by_hash_and_what_is_named_in_its_version(name: str) -> None:
    lines = (tools.ROOT / f"local/requirements-{name}.txt").read_text().splitlines()
    entries = [NAMED.fullmatch(line) for line in lines if not line.startswith("#")]
    assert entries and all(entries), lines
    for entry in entries:
        normal = re.sub(r"[-_.]+", "-", entry["name"]).lower()
        assert locked(name)[normal] == {entry["version"]}, "run: python3 local/tools.py --lock"


@pytest.mark.parametrize("folder", PACKAGE_LOCKS)
def test_every_package_from_npm_has_a_checksum_and_no_address(folder: str) -> None:
    wanted = json.loads((tools.ROOT / folder / "package.json").read_text())
    lock = json.loads((tools.ROOT / folder / "package-lock.json").read_text())
    assert lock["packages"].pop("")["dependencies"] == wanted["dependencies"]
    assert all(re.fullmatch(r"[0-9.]+", version) for version in wanted["dependencies"].values())
    for name, package in lock["packages"].items():
        assert len(base64.b64decode(package["integrity"].removeprefix("sha512-"))) == 64, name
        assert "resolved" not in package, name


def wheel(folder: Path, name: str, needs: str = "") -> str:
    """Makes a package that holds nothing; gives its hash."""
    file = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as contents:
        contents.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
        contents.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        contents.writestr(f"{about}/RECORD", f"{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def installed(folder: Path, lock: str) -> subprocess.CompletedProcess:
    """Installs the lock as `tools.environment` does, from this folder instead of a registry, and into it."""
    file = folder / "lock.txt"
    file.write_text(lock)
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_TARGET": str(folder / "target"), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(tools.pip_install(Path(sys.executable), file), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def entry(name: str, digest: str) -> str:
    return f"{name}==1.0 \\\n    --hash=sha256:{digest}\n"


def test_what_is_locked_is_installed(tmp_path: Path) -> None:
    lock = entry("first", wheel(tmp_path, "first", "Requires-Dist: second\n")) + entry("second", wheel(tmp_path, "second"))
    assert LOCKED.sub("", lock) == ""
    assert (done := installed(tmp_path, lock)).returncode == 0, done.stdout
    assert (tmp_path / "target/second-1.0.dist-info").is_dir()


def test_another_content_under_the_same_version_is_refused(tmp_path: Path) -> None:
    digest = wheel(tmp_path, "first")
    altered = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    done = installed(tmp_path, entry("first", altered))
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stdout
    assert not (tmp_path / "target").exists()


def test_what_is_not_locked_is_not_installed(tmp_path: Path) -> None:
    digest = wheel(tmp_path, "first", "Requires-Dist: second\n")
    wheel(tmp_path, "second")
    assert installed(tmp_path, entry("first", digest)).returncode == 0
    assert sorted(each.name for each in (tmp_path / "target").iterdir()) == ["first-1.0.dist-info"]
    done = installed(tmp_path, entry("first", digest) + "second==1.0\n")
    assert done.returncode != 0
    assert "Hashes are required" in done.stdout


def test_nothing_is_built_from_source(tmp_path: Path) -> None:
    made = tmp_path / "setup.py"
    made.write_text("open('was-built', 'w').close()\n")
    archive = tmp_path / "first-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as contents:
        contents.add(made, "first-1.0/setup.py")
    done = installed(tmp_path, entry("first", hashlib.sha256(archive.read_bytes()).hexdigest()))
    assert done.returncode != 0
    assert "No matching distribution" in done.stdout
