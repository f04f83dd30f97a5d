"""Floods the receiver with junk of every kind while calls are made: each call must alert within three seconds, as verified.

    python3 local/load.py [JUNK-PER-SECOND] [SECONDS]

The receiver runs behind a gateway with the template's throttling, on the loopback interface, as `tests/examples/load.rs` says;
autocannon, a public load tool, sends the junk. Prints what became of both, and ends with 1 if a call did not alert in time or
junk did so as verified; some of it holds a right client state, and alerts as not verified.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stack import Failed, run, target_directory
from tools import ROOT, TOOLS, environment, npm_packages, say

HERE = ROOT / "local" / "load"
CALLS_PER_SECOND = 5
# As many at once as Lambda gives a new account.
INSTANCES = 10


def node() -> str:
    """A Node.js: this machine's, or one that is installed into the tree."""
    return str(Path(shutil.which("node") or environment("node") / "node"))


def install() -> Path:
    """Where autocannon is, installed as the lock file says."""
    place = TOOLS / "load"
    wanted = (HERE / "package-lock.json").read_bytes()
    installed = place / "installed-from"
    if not installed.is_file() or installed.read_bytes() != wanted:
        say("Installing autocannon into .tools/load (once) ...")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        npm_packages(HERE, place)
        installed.write_bytes(wanted)
    return place


def throttle() -> list[int]:
    """The template's rate and burst."""
    template = (ROOT / "template.yaml").read_text()
    return [int(re.search(rf"{name}: (\d+)", template)[1]) for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit")]


def main() -> None:
    rate, seconds = (int(given or default) for given, default in zip((sys.argv[1:] + ["", ""])[:2], ("300", "20")))
    tools = install()
    logs = ROOT / ".demo"
    logs.mkdir(exist_ok=True)
    command = ["cargo", "build", "--locked", "-p", "end-to-end", "--example", "load"]
    run("Building (some minutes the first time) ...", command, logs / "load.log", {**os.environ, "CARGO_TERM_COLOR": "never"})
    # The calls begin before the flood and go on a little longer.
    numbers = [seconds + 5, CALLS_PER_SECOND, *throttle(), INSTANCES]
    receiver = subprocess.Popen(
        [str(target_directory() / "debug/examples/load"), *map(str, numbers)], stdout=subprocess.PIPE, text=True
    )

    def said() -> dict:
        if line := receiver.stdout.readline():
            return json.loads(line)
        raise Failed("What holds the receiver has ended.")

    try:
        started = said()
        with tempfile.TemporaryDirectory() as directory:
            requests = Path(directory) / "requests.json"
            requests.write_text(json.dumps(started["flood"]))
            say(f"Flooding {started['listening']} with {rate} requests each second for {seconds} s ...")
            flood = subprocess.run(
                [node(), str(HERE / "flood.mjs"), str(tools), started["listening"], str(requests), str(rate), str(seconds)],
                stdout=subprocess.PIPE, text=True, check=True,
            )
        calls = said()
    finally:
        receiver.kill()
        receiver.wait()
    print(json.dumps({"microsecondsOfEach": started["microsecondsOfEach"], "flood": json.loads(flood.stdout), "calls": calls}, indent=2))
    if calls["notAlertedWithin3Seconds"] or calls["forgedAlerts"]:
        sys.exit("Calls were late or lost, or junk raised a verified alert.")


if __name__ == "__main__":
    try:
        main()
    except Failed as problem:
        sys.exit(str(problem))
