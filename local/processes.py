"""Long-lived processes of the local stack: started with their output in a file, found again and ended by their id."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path


class NotReady(Exception):
    """A process ended, or did not become ready in time."""


def start(name: str, command: list[str], directory: Path, environment: dict[str, str]) -> dict:
    """Starts a process in a session of its own, so that Ctrl-C reaches it only through us."""
    log = directory / f"{name}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        return {"name": name, "pid": process.pid, "started": birth(process.pid), "log": str(log)}
    except BaseException:
        # Interrupted before anybody knows of it.
        process.kill()
        raise


def birth(pid: int) -> str | None:
    """When the process began, as the system tells it: an id alone may have been given to another since."""
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip() or None


def alive(process: dict) -> bool:
    try:
        # A child of ours that has ended stays as a zombie until it is waited for.
        if os.waitpid(process["pid"], os.WNOHANG)[0] == process["pid"]:
            return False
    except ChildProcessError:
        pass
    return process["started"] is not None and birth(process["pid"]) == process["started"]


def stop(process: dict) -> None:
    """Ends the process and what it started, first asking, then without."""
    for sent, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        if not alive(process):
            break
        os.kill(process["pid"], sent)
        until(lambda: not alive(process), patience)
    # The functions run as children of the emulator, in its session.
    try:
        os.killpg(process["pid"], signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def until(condition, seconds: float) -> bool:
    """Whether the condition came true within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def listening(process: dict, seconds: float = 30) -> str:
    """The address in the line of JSON that the process prints when it is ready."""
    found: list[str] = []

    def look() -> bool:
        for line in Path(process["log"]).read_text(errors="replace").splitlines():
            if line.startswith("{") and "listening" in line:
                try:
                    found.append(json.loads(line)["listening"])
                    return True
                except json.JSONDecodeError:
                    pass
        return not alive(process)

    until(look, seconds)
    if not found:
        raise NotReady(f"{process['name']} did not start; its output is in {process['log']}.")
    return found[0]


def answering(process: dict, url: str, seconds: float = 60) -> None:
    """Waits until the address answers."""

    def ask() -> bool:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return True
        except (urllib.error.URLError, OSError):
            return not alive(process)

    if not until(ask, seconds) or not alive(process):
        raise NotReady(f"{process['name']} did not start; its output is in {process['log']}.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
