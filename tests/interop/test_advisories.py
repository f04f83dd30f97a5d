"""What `make lint` does about advisories, with and without a network: a stand-in for cargo-deny says what it was asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from programs import ROOT

STAND_IN = """#!/bin/sh
echo "asked: $*"
case "$*" in
*fetch*) exit {fetching} ;;
*check*) exit {checking} ;;
esac
"""


def checked(directory: Path, fetching: int, checking: int = 0) -> subprocess.CompletedProcess:
    stand_in = directory / "cargo-deny"
    stand_in.write_text(STAND_IN.format(fetching=fetching, checking=checking))
    stand_in.chmod(0o755)
    env = {**os.environ, "CARGO_DENY": str(stand_in), "CARGO_HOME": str(directory)}
    return subprocess.run(["sh", str(ROOT / "local/advisories.sh")], env=env, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "advisory-dbs/some-database/crates").mkdir(parents=True)
    return tmp_path


def test_with_a_network_the_newest_database_counts(database: Path) -> None:
    done = checked(database, fetching=0)
    assert done.returncode == 0
    assert "asked: --locked check advisories" in done.stdout
    assert "no newer" not in done.stdout


def test_without_a_network_the_database_at_hand_counts_and_says_so(database: Path) -> None:
    done = checked(database, fetching=1)
    assert done.returncode == 0
    assert "asked: --locked --offline check advisories" in done.stdout
    assert "no newer database could be fetched" in done.stdout


@pytest.mark.parametrize("fetching", [0, 1])
def test_an_advisory_fails_the_build(database: Path, fetching: int) -> None:
    assert checked(database, fetching, checking=1).returncode == 1


def test_without_network_and_database_one_line_says_that_nothing_was_checked(tmp_path: Path) -> None:
    # What a fetch that failed leaves behind is no database.
    (tmp_path / "advisory-dbs").mkdir()
    (tmp_path / "advisory-dbs/db.lock").touch()
    done = checked(tmp_path, fetching=1)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "NOT checked" in done.stdout
