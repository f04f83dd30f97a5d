"""The check of `make lint` finds circles of modules, and this tree has none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "local/circles.py", root], capture_output=True, text=True)


def crate(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / "crates/planted/src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {"a.rs": "use crate::b::B;", "b.rs": "use super::a::A;"},
        {"a.rs": "use crate::{b, c::{self, C}};", "b.rs": "", "c.rs": "fn f() -> crate::d::D {}", "d.rs": "use crate::a::A as Other;"},
        {"a/mod.rs": "pub mod x;", "a/x.rs": "use crate::b::B;", "b.rs": "use crate::a::x::X;"},
    ],
    ids=["two modules", "three, in one tree of uses", "one below another"],
)
def test_a_planted_circle_is_named(tmp_path, files):
    checked = check(crate(tmp_path, files))

    assert checked.returncode == 1
    assert checked.stdout.startswith("crates/planted/src: ") and "circle" in checked.stderr


@pytest.mark.parametrize(
    "files",
    [
        {"a.rs": "use crate::b::B;", "b.rs": "// use crate::a::A;"},
        {"a.rs": "use crate::b::B;", "b.rs": "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}"},
        {"a/mod.rs": "pub mod x;\nuse self::x::X;", "a/x.rs": "use super::A;"},
    ],
    ids=["a comment", "a test", "a parent and what is below it"],
)
def test_what_is_no_circle_is_not_named(tmp_path, files):
    assert check(crate(tmp_path, files)).returncode == 0


def test_this_tree_has_none():
    checked = check(ROOT)

    assert checked.returncode == 0, checked.stdout
