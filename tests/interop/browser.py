"""A headless Chromium, spoken to over its DevTools protocol: it opens a page, looks at it and photographs it.

The browser is the one that `CHROME` names, or one on the `PATH`; where there is none, one is installed into `.tools/browser`.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import platform
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "local"))

import tools  # noqa: E402

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Names a Chromium from npm, with the libraries that bare systems lack.
SOURCE = Path(__file__).resolve().parent / "chromium"
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
)
# No test waits for this long; a browser that says nothing ends the test.
PATIENCE = 120
UNPACK = """
const [, folder, into] = process.argv, fs = require("fs"), zlib = require("zlib");
for (const [name, to] of [["chromium.br", "chromium"], ["al2023.tar.br", "libraries.tar"], ["fonts.tar.br", "fonts.tar"]])
  fs.writeFileSync(`${into}/${to}`, zlib.brotliDecompressSync(fs.readFileSync(`${folder}/${name}`)));
"""


def command() -> tuple[list[str], dict[str, str]]:
    """How a browser is started, and what its environment needs besides."""
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    return ([found], {}) if found else installed()


def installed() -> tuple[list[str], dict[str, str]]:
    """The same for the browser in `.tools/browser`, which is put there if it is not there yet."""
    target = tools.TOOLS / "browser"
    stamp = target / "installed-from"
    tools.TOOLS.mkdir(exist_ok=True)
    with open(tools.TOOLS / "browser.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (SOURCE / "package-lock.json").read_bytes()
        if not stamp.is_file() or stamp.read_bytes() != wanted:
            install(target)
            stamp.write_bytes(wanted)
    return [str(target / "chromium")], {"LD_LIBRARY_PATH": str(target / "lib"), "FONTCONFIG_FILE": str(target / "fonts.conf")}


def install(target: Path) -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise RuntimeError("There is no browser to install on this machine: put Chromium on the PATH, or its path into CHROME.")
    tools.say("Installing Chromium into .tools/browser (once) ...")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    tools.npm_packages(SOURCE, target)
    node = shutil.which("node") or str(tools.environment("node") / "node")
    subprocess.run([node, "-e", UNPACK, str(target / "node_modules/@sparticuz/chromium/bin"), str(target)], check=True)
    for archive in ("libraries", "fonts"):
        shutil.unpack_archive(target / f"{archive}.tar", target)
        (target / f"{archive}.tar").unlink()
    shutil.rmtree(target / "node_modules")
    (target / "chromium").chmod(0o755)
    folders = "".join(f"<dir>{folder}</dir>" for folder in (target / "fonts", "/usr/share/fonts"))
    (target / "fonts.conf").write_text(f"<fontconfig>{folders}<cachedir>{target / 'font-cache'}</cachedir></fontconfig>")


class Browser:
    """A running browser with one page. It ends with the block."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="preview-browser-")
        program, extra = command()
        reading, their_writing = os.pipe()
        their_reading, self._writing = os.pipe()
        # High numbers, so that neither is overwritten when they become 3 and 4.
        theirs = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (their_reading, their_writing)]
        become = "import os, sys; [os.dup2(int(each), to) for to, each in ((3, sys.argv[1]), (4, sys.argv[2]))]; os.execvp(sys.argv[3], sys.argv[3:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", become, *map(str, theirs), *program, *OPTIONS, f"--user-data-dir={self._profile}", "about:blank"],
            pass_fds=theirs, env={**os.environ, **extra}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for each in (their_reading, their_writing, *theirs):
            os.close(each)
        self._reading, self._received, self._number = reading, b"", 0
        self.events: list[dict] = []
        self._session: str | None = None

    def __enter__(self) -> Browser:
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._reading)
        os.close(self._writing)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters: object) -> dict:
        """A command and its result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        waiting = memoryview(json.dumps(message).encode() + b"\0")
        while waiting:
            waiting = waiting[os.write(self._writing, waiting):]
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, page: Path, width: int = 1280, height: int = 800) -> None:
        """Opens a file in a window of this size, and waits until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def ask(self, expression: str) -> object:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def requested(self) -> list[str]:
        """The addresses that the page fetched since it was opened."""
        return [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]

    def _next(self) -> dict:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._reading], [], [], max(0, end - time.monotonic()))
            part = os.read(self._reading, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError("the browser ended" if ready else f"the browser said nothing for {PATIENCE} s")
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)


def pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and the rows of a PNG image as browsers write it: 8 bits of red, green and blue, perhaps alpha."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (png[:8], depth, interlaced) == (b"\x89PNG\r\n\x1a\n", 8, 0)
    size = {2: 3, 6: 4}[kind]
    packed, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at:at + 8])
        packed += png[at + 8:at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    data, stride = zlib.decompress(packed), width * size + 1
    rows = [bytes(width * size)]
    for start in range(0, stride * height, stride):
        rows.append(row(data[start], data[start + 1:start + stride], rows[-1], size))
    return width, height, rows[1:]


def row(how: int, given: bytes, above: bytes, size: int) -> bytes:
    """A row of a PNG image without its filter."""
    made = bytearray(given)
    for at in range(len(made) if how else 0):
        left, up = made[at - size] if at >= size else 0, above[at]
        corner = above[at - size] if at >= size else 0
        if how == 4:
            guess = left + up - corner
            predicted = min((left, up, corner), key=lambda near: abs(guess - near))
        else:
            predicted = (0, left, up, (left + up) // 2)[how]
        made[at] = (made[at] + predicted) & 255
    return bytes(made)
