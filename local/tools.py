"""Installs what the local runs and checks need into the tree, each in its own virtual environment under .tools/.

`requirements-<name>.txt` beside this file names what an environment is for, and `locks/<name>.txt` everything that this needs in turn, by
version and SHA-256. Nothing else is installed. An environment is made on first use, and made anew when its lock or the Python changes.

    python3 local/tools.py sam checks     # install these now
    python3 local/tools.py --lock         # write the locks anew, after a requirements file was changed
    python3 local/tools.py --upgrade      # the same, with the newest versions of what no requirements file names
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
LOCKS = ROOT / "local" / "locks"

WHAT = {
    "build": "cargo-lambda and zig",
    "checks": "cfn-lint, cargo-deny, cargo-shear and what writes lists of parts",
    "client": "boto3, pytest and what the tests need",
    "emulator": "the AWS emulator",
    "lock": "uv, which writes the locks",
    "node": "Node.js",
    "preview": "what the preview reads the template with",
    "sam": "the AWS SAM CLI",
}


def environment(name: str) -> Path:
    """The directory of the programs of environment `name`, which is installed if it is not there yet."""
    lock_file = LOCKS / f"{name}.txt"
    wanted = hashlib.sha256(lock_file.read_bytes() + sys.version.encode()).hexdigest()
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
        run(pip_install(target / "bin" / "python", lock_file))
        stamp.write_text(wanted)
    return target / "bin"


def pip_install(python: Path, lock_file: Path) -> list[str]:
    """The command that installs what the lock names, which is complete; pip itself would look for what is needed, and cannot match extras.

    Only wheels are installed: a source package would be built by tools that no hash holds.
    """
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    return [str(python), "-m", "pip", "install", *options, "--requirement", str(lock_file)]


def npm_packages(source: Path, target: Path) -> None:
    """Puts what `source`/package-lock.json names, and nothing else, into `target`/node_modules. No package's own scripts run."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, target)
    search = os.environ.get("PATH", "") if shutil.which("npm") else path_with("node")
    command = [str(shutil.which("npm", path=search)), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(target)]
    run(command, {**os.environ, "PATH": search})


def lock(*options: str) -> None:
    """Writes each lock from its requirements file: for every system, with the hashes of all files of each release."""
    # The oldest Python that `prerequisites.sh` lets pass.
    how = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-strip-extras", "--no-header", "--no-annotate"]
    uv = str(environment("lock") / "uv")
    for name in WHAT:
        requirements, output = ROOT / "local" / f"requirements-{name}.txt", LOCKS / f"{name}.txt"
        run([uv, "pip", "compile", *how, *options, "--output-file", str(output), str(requirements)])


def path_with(*names: str) -> str:
    """PATH with the programs of these environments first."""
    return os.pathsep.join([*(str(environment(name)) for name in names), os.environ.get("PATH", "")])


def say(line: str) -> None:
    """A line of progress, on standard error so that output stays clean."""
    print(line, file=sys.stderr, flush=True)


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nFailed: {' '.join(command)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--lock"]:
            lock()
        case ["--upgrade"]:
            lock("--upgrade")
        case names:
            for each in names:
                environment(each)
