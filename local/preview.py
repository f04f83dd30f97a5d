"""Shows what people and machines get for a call, without AWS and without a call: in the terminal and on one HTML page.

    make preview                                    every kind of alert in every language; the page is preview.html
    make preview CALLS=my-calls LANGUAGES=en,fr     other calls, as events/README.md describes them; some languages only
    make preview TIME_ZONE=Europe/Paris             times as people there read them

The texts are made by the crate that the receiver uses, and the messages for PagerDuty and chat by the rules in template.yaml.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import preview_events
import preview_page
from tools import ROOT, say

# What the program `preview` understands, and the page says.
SETTINGS = ("calls", "languages", "time_zone", "test_numbers", "map_link")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in SETTINGS:
        arguments.add_argument(f"--{name.replace('_', '-')}", help="as the program `preview` takes it")
    arguments.add_argument("--output", type=Path, default=ROOT / "preview.html", help="where the page goes")
    arguments.add_argument("--json", action="store_true", help="print everything as JSON instead, and write no page")
    given = arguments.parse_args()
    try:
        alerts = rendered({name: getattr(given, name) for name in SETTINGS})
    except preview_events.Unknown as problem:
        sys.exit(str(problem))
    if given.json:
        json.dump(alerts, sys.stdout, ensure_ascii=False, indent=2)
        return
    given.output.write_text(preview_page.page(alerts), encoding="utf-8")
    with contextlib.suppress(BrokenPipeError):
        for line in lines(alerts):
            print(line)
    say(f"\nThe same, side by side: {given.output}")


def rendered(settings: dict[str, str | None]) -> list[dict]:
    """Every call in every language, with what PagerDuty and chat get: `pagerDuty` and `chat`, null where that is nothing."""
    alerts = asked(settings)
    pager_duty, chat = preview_events.rules((ROOT / "template.yaml").read_text(encoding="utf-8"), "PagerDutyRule", "ChatRule")
    for alert in alerts:
        event = preview_events.event(alert["document"])
        alert["pagerDuty"], alert["chat"] = pager_duty.sends(event), chat.sends(event)
    return alerts


def asked(settings: dict[str, str | None]) -> list[dict]:
    """What the program `preview` renders."""
    say("Rendering (builds for some minutes the first time) ...")
    options = [part for name, value in settings.items() if value for part in (f"--{name.replace('_', '-')}", value)]
    if not settings["calls"]:
        options += ["--calls", str(ROOT / "events" / "calls")]
    build = ["cargo", "build", "--locked", "--quiet", "--package", "end-to-end", "--bin", "preview", "--message-format", "json"]
    built = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        sys.exit("The program that renders alerts could not be built.")
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    program = next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "preview")
    done = subprocess.run([program, *options], stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def lines(alerts: list[dict]):
    """Everything but the document, for the terminal."""
    kind = None
    for alert in alerts:
        if alert["kind"] != kind:
            kind = alert["kind"]
            yield f"\n{'=' * 72}\n{alert['title']}  [{kind}]\n{'=' * 72}"
        yield f"\n--- {alert['language']} {'-' * (67 - len(alert['language']))}"
        yield from block("Email", f"Subject: {alert['email']['subject']}\n\n{alert['email']['body']}")
        yield from block("Text message", f"{alert['sms']}\n({size(alert)})")
        yield from block("Chat", f"{alert['chat']['content']['title']}\n{alert['chat']['content']['description']}" if alert["chat"] else NOTHING)
        yield from block("PagerDuty", preview_page.readable(alert["pagerDuty"]) if alert["pagerDuty"] else NOTHING)


NOTHING = "(nothing)"


def block(name: str, text: str):
    yield f"\n{name}:"
    yield textwrap.indent(text.rstrip("\n"), "    ")


def size(alert: dict) -> str:
    """How long a text message is, as phones count."""
    return preview_page.size(alert["sms"], alert["smsParts"])


if __name__ == "__main__":
    main()
