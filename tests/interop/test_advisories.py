"""What `make lint` does about advisories, with and without a network: stand-ins for cargo-deny and cargo say what they were asked."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from programs import ROOT

STAND_IN = """#!/bin/sh
echo "{name}: $*"
case "$*" in
*fetch*) exit {fetching} ;;
*check*) exit {checking} ;;
esac
"""


def checked(directory: Path, fetching: int, checking: int = 0) -> subprocess.CompletedProcess:
    # Cargo's own is one that always succeeds.
    for name, statuses in (("cargo-deny", {"fetching": fetching, "checking": checking}), ("cargo", {"fetching": 0, "checking": 0})):
        stand_in = directory / name
        stand_in.write_text(STAND_IN.format(name=name, **statuses))
        stand_in.chmod(0o755)
    path = f"{directory}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "CARGO_DENY": str(directory / "cargo-deny"), "CARGO_HOME": str(directory), "PATH": path}
    return subprocess.run(["sh", str(ROOT / "local/advisories.sh")], env=env, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "advisory-dbs/some-database/crates").mkdir(parents=True)
    return tmp_path


def test_with_a_network_the_newest_database_counts(database: Path) -> None:
    done = checked(database, fetching=0)
    assert done.returncode == 0
    assert "cargo-deny: --locked check advisories" in done.stdout
    assert "no newer" not in done.stdout


def test_without_a_network_the_database_at_hand_counts_and_says_so(database: Path) -> None:
    done = checked(database, fetching=1)
    assert done.returncode == 0
    assert "cargo: fetch --locked --quiet\ncargo-deny: --locked --offline check advisories\n" in done.stdout
    assert "no newer database could be fetched" in done.stdout


@pytest.mark.parametrize("fetching", [0, 1])
def test_an_advisory_fails_the_build(database: Path, fetching: int) -> None:
    assert checked(database, fetching, checking=1).returncode == 1


def test_without_network_and_database_a_box_says_that_nothing_was_checked_and_why(tmp_path: Path) -> None:
    # What a fetch that failed leaves behind is no database.
    (tmp_path / "advisory-dbs").mkdir()
    (tmp_path / "advisory-dbs/db.lock").touch()
    done = checked(tmp_path, fetching=1)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == lines[-1] == "=" * 80
    assert lines[1] == "WARNING: ADVISORIES WERE NOT CHECKED."
    # What the stand-in said when it was to fetch.
    assert "cargo-deny: --locked fetch db" in lines


def test_lint_ends_with_the_advisories() -> None:
    lines = (ROOT / "local/lint.sh").read_text().splitlines()
    assert lines[-1] == "sh local/advisories.sh"


def test_no_advisory_is_hidden() -> None:
    settings = tomllib.loads((ROOT / "deny.toml").read_text())["advisories"]
    assert settings == {"yanked": "deny", "unmaintained": "all", "unsound": "all", "maximum-db-staleness": "P10Y"}
