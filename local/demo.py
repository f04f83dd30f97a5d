"""The demonstration: from nothing to the alerts of a 911 and a 933 call. `make demo` runs it.

With KEEP=1 in the environment the stack stays up afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import processes
import stack
from tools import ROOT, environment, say

KEPT = """
The stack is still up, its logs are in .demo/demo/. What you can do now:
  make dial NUMBER=911     make another call (or NUMBER=933 for a test call)
  make down                end it
"""


def main() -> int:
    # A terminated demonstration cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    keep = os.environ.get("KEEP", "") not in ("", "0")
    done = interrupted = False
    try:
        description = stack.up()
        show = [str(environment("client") / "python"), str(ROOT / "local/show.py"), json.dumps(description), "911", "933"]
        done = subprocess.run(show).returncode == 0
        return 0 if done else 1
    except (stack.Failed, processes.NotReady) as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        say("Interrupted.")
        interrupted = True
        return 130
    finally:
        # A second Ctrl-C must not stop the cleaning up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if keep and done:
            say(KEPT)
        elif done or interrupted:
            stack.down()
        else:
            leave_logs()


def leave_logs() -> None:
    """Ends the processes but keeps their output, which says what went wrong."""
    try:
        running = stack.load()["processes"]
    except stack.Failed:
        return
    for process in reversed(running):
        processes.stop(process)
    say(f"All processes are ended; what they wrote is in {ROOT / '.demo/demo'}.")


if __name__ == "__main__":
    sys.exit(main())
