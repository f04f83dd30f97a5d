"""Makes a call on a kept demonstration and shows its alerts: `make dial NUMBER=911`."""

from __future__ import annotations

import subprocess
import sys

from stack import Failed, load
from tools import ROOT, environment


def main() -> int:
    try:
        load()
    except Failed as problem:
        sys.exit(str(problem))
    return subprocess.run([str(environment("client") / "python"), str(ROOT / "local/show.py"), "demo", *sys.argv[1:]]).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
