"""The page of `make preview`: one HTML document that needs nothing else, and no scripts.

Everything in it comes from calls and is foreign text: it goes through `html.escape`, every time.
"""

from __future__ import annotations

import html
import json
import re
from itertools import groupby
from pathlib import Path

STYLE = Path(__file__).with_name("preview.css")
LANGUAGES = {"en": "English", "es": "Español", "fr": "Français", "zh-Hans": "简体中文"}
TOPICS = {"alert": "AlertTopic", "test": "TestTopic"}
# Control characters but the line break, and those that turn the direction of writing.
INVISIBLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
# No script would run even if text from a call became markup, and nothing is fetched.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(alerts: list[dict]) -> str:
    """The whole page for alerts as `preview.py --json` prints them: the languages of a kind follow each other."""
    kinds = [list(group) for _, group in groupby(alerts, key=lambda alert: alert["kind"])]
    languages = list(dict.fromkeys(alert["language"] for alert in alerts))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escaped(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What people and machines get</title>
<style>
{STYLE.read_text(encoding="utf-8")}
{"".join(only(language) for language in languages)}</style>
</head>
<body>
<header class="top">
<h1>What people and machines get</h1>
<p>Every kind of alert in every language, as the deployed functions would send it. Nothing was sent.</p>
</header>
<fieldset class="languages">
<label><input type="radio" name="language" id="only-all" checked>All languages</label>
{"".join(choice(language) for language in languages)}</fieldset>
<div class="sheet">
<nav class="kinds" aria-label="Kinds of alert"><ul>
{"".join(f'<li><a href="#{escaped(kind[0]["kind"])}">{escaped(kind[0]["title"])}</a></li>{chr(10)}' for kind in kinds)}</ul></nav>
<main>
{"".join(section(kind) for kind in kinds)}</main>
</div>
</body>
</html>
"""


def escaped(text: object) -> str:
    return html.escape(str(text), quote=True)


def only(language: str) -> str:
    """The rule that leaves one language on the page."""
    name = escaped(language)
    return f"body:has(#only-{name}:checked) .alert-in:not(.in-{name}) {{ display: none; }}\n"


def choice(language: str) -> str:
    name = escaped(language)
    title = escaped(LANGUAGES.get(language, language))
    return f'<label lang="{name}"><input type="radio" name="language" id="only-{name}">{title}</label>\n'


def section(alerts: list[dict]) -> str:
    """A kind of alert."""
    first = alerts[0]
    document = first["document"]
    audience = document["audience"]
    return f"""<section class="kind" id="{escaped(first["kind"])}">
<h2>{escaped(first["title"])}</h2>
<p class="facts"><code>{escaped(first["kind"])}</code><span class="tag {escaped(audience)}">{escaped(TOPICS[audience])}</span></p>
{"".join(article(alert) for alert in alerts)}</section>
"""


def article(alert: dict) -> str:
    """An alert in one language."""
    language = escaped(alert["language"])
    return f"""<article class="alert-in in-{language}" id="{escaped(alert["kind"])}-{language}">
<h3 lang="{language}">{escaped(LANGUAGES.get(alert["language"], alert["language"]))}</h3>
<div class="panels">
{email(alert)}{phone(alert)}{chat(alert)}{pager(alert)}{source(alert)}</div>
</article>
"""


def panel(name: str, title: str, content: str) -> str:
    return f'<section class="panel {name}">\n<h4>{title}</h4>\n{content}</section>\n'


def email(alert: dict) -> str:
    mail, language = alert["email"], escaped(alert["language"])
    return panel("email", "Email", f"""<dl>
<dt>From</dt><dd>AWS Notifications</dd>
<dt>Subject</dt><dd class="subject" lang="{language}">{escaped(mail["subject"])}</dd>
</dl>
<pre class="text" lang="{language}">{escaped(mail["body"])}</pre>
""")


def phone(alert: dict) -> str:
    return panel("phone", "Text message", f"""<div class="screen">
<p class="from">Text message</p>
<p class="bubble text" dir="auto" lang="{escaped(alert["language"])}">{escaped(alert["sms"])}</p>
</div>
<p class="note">{escaped(size(alert["sms"], alert["smsParts"]))}</p>
""")


def size(text: str, parts: int) -> str:
    """The length of a text message as phones count it: UTF-16, which is the same as characters in the 7-bit alphabet."""
    characters = len(text.encode("utf-16-le")) // 2
    return f"{characters} characters, {parts} {'part' if parts == 1 else 'parts'}"


def chat(alert: dict) -> str:
    if alert["chat"] is None:
        return panel("chat", "Chat", NOTHING)
    content = alert["chat"]["content"]
    points = [line.removeprefix("- ") for line in content["description"].splitlines() if line]
    link = alert["document"]["mapUrl"]
    items = "".join(f'<li dir="auto">{linked(point, link)}</li>\n' for point in points)
    return panel("chat", "Chat", f"""<div class="body"><div class="card" lang="{escaped(alert["language"])}">
<strong dir="auto">{escaped(content["title"])}</strong>
<ul>
{items}</ul>
</div></div>
""")


def linked(text: str, link: str | None) -> str:
    """A line of a chat message. The one link in it that the system has made itself is one here, too."""
    if link is None or link not in text:
        return escaped(text)
    before, _, after = text.partition(link)
    return f'{escaped(before)}<a href="{escaped(link)}" rel="noreferrer">{escaped(link)}</a>{escaped(after)}'


def pager(alert: dict) -> str:
    message = alert["pagerDuty"]
    if message is None:
        return panel("pager", "PagerDuty", NOTHING)
    payload = message["payload"]
    return panel("pager", "PagerDuty", f"""<div class="body">
<p class="facts"><span class="tag">{escaped(message["event_action"])}</span><span class="tag {escaped(payload["severity"])}">{escaped(payload["severity"])}</span></p>
<strong dir="auto" lang="{escaped(alert["language"])}">{escaped(payload["summary"])}</strong>
</div>
{formatted(message)}""")


def source(alert: dict) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td dir="auto">{escaped(value)}</td></tr>\n'
        for name, value in alert["attributes"].items()
    )
    return panel("json", "JSON and attributes", f'{formatted(alert["document"])}<table class="attributes">\n{rows}</table>\n')


def formatted(value: object) -> str:
    return f'<pre class="source text" tabindex="0" dir="ltr">{escaped(readable(value))}</pre>\n'


def readable(value: object) -> str:
    """JSON for people: what shows nothing, or changes how text beside it shows, is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


NOTHING = '<p class="body note">Nothing: the rule on the event bus leaves this alert out.</p>\n'
