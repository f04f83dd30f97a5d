"""Installs what the local runs and checks need into the tree, each in its own virtual environment under .tools/.

An environment belongs to one `requirements-<name>.txt` beside this file. It is made on first use, and made anew when
that file or the Python changes.

    python3 local/tools.py sam checks     # install these now
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"

WHAT = {
    "build": "cargo-lambda and zig",
    "checks": "cfn-lint, cargo-deny, cargo-shear and what writes lists of parts",
    "client": "boto3, pytest and what the tests need",
    "emulator": "the AWS emulator",
    "node": "Node.js",
    "preview": "what the preview reads the template with",
    "sam": "the AWS SAM CLI",
}


def environment(name: str) -> Path:
    """The directory of the programs of environment `name`, which is installed if it is not there yet."""
    requirements = ROOT / "local" / f"requirements-{name}.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    target = TOOLS / name
    stamp = target / "installed-from"
    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == wanted:
            return target / "bin"
        say(f"Installing {WHAT[name]} into .tools/{name} (once) ...")
        shutil.rmtree(target, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(target)])
        pip = [str(target / "bin" / "python"), "-m", "pip"]
        run([*pip, "install", "--quiet", "--disable-pip-version-check", "--requirement", str(requirements)])
        stamp.write_text(wanted)
    return target / "bin"


def path_with(*names: str) -> str:
    """PATH with the programs of these environments first."""
    return os.pathsep.join([*(str(environment(name)) for name in names), os.environ.get("PATH", "")])


def say(line: str) -> None:
    """A line of progress, on standard error so that output stays clean."""
    print(line, file=sys.stderr, flush=True)


def run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nFailed: {' '.join(command)}")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        environment(each)
