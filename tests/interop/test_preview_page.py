"""The page of `make preview`, in a headless browser: it shows everything, runs nothing, and fits its window."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import browser
import preview_page
import pytest
import tools

ROOT = browser.ROOT
# A mobile phone, a small window and a large screen.
WINDOWS = [(390, 844), (1280, 800), (1920, 1000)]
# What a person sees of an alert, by its place on the page.
SEEN = """
(() => {
  const seen = {};
  for (const article of document.querySelectorAll("article")) {
    const text = (selector) => [...article.querySelectorAll(selector)].map((each) => each.textContent);
    seen[article.id] = {
      kind: article.closest("section").id, language: article.querySelector("h3").lang, title: article.closest("section").querySelector("h2").textContent,
      subject: text(".email .subject"), body: text(".email pre"), sms: text(".phone .bubble"), size: text(".phone .note"),
      chatTitle: text(".chat strong"), chatPoints: text(".chat li"), pagerDuty: text(".pager pre"), summary: text(".pager strong"), document: text(".json pre"),
      attributes: [...article.querySelectorAll(".attributes tr")].map((row) => [...row.children].map((cell) => cell.textContent)),
    };
  }
  return seen;
})()
"""


@pytest.fixture(scope="module")
def preview(tmp_path_factory) -> tuple[list[dict], Path]:
    """All alerts as JSON, and the page."""
    folder = tmp_path_factory.mktemp("preview")
    run = [str(tools.environment("preview") / "python"), str(ROOT / "local" / "preview.py"), "--output", str(folder / "page.html")]
    alerts = json.loads(subprocess.run([*run, "--json"], stdout=subprocess.PIPE, check=True).stdout)
    shown = subprocess.run(run, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    (folder / "terminal.txt").write_text(shown, encoding="utf-8")
    return alerts, folder / "page.html"


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser() as running:
        yield running


def test_every_kind_is_shown_in_every_language(preview, chromium) -> None:
    alerts, page = preview
    chromium.open(page)

    seen = chromium.ask(SEEN)

    kinds = {path.stem for path in (ROOT / "events" / "calls").glob("*.json")}
    assert {(each["kind"], each["language"]) for each in seen.values()} == {
        (kind, language) for kind in kinds for language in ("en", "es", "fr", "zh-Hans")
    }
    for alert in alerts:
        shown = seen[f"{alert['kind']}-{alert['language']}"]
        assert shown["title"] == alert["title"]
        assert (shown["subject"], shown["sms"]) == ([alert["email"]["subject"]], [alert["sms"]])
        assert shown["body"] == [alert["email"]["body"]]
        assert [json.loads(text) for text in shown["document"]] == [alert["document"]]
        assert dict(shown["attributes"]) == alert["attributes"]
        assert shown["size"][0].endswith(f" {alert['smsParts']} {'part' if alert['smsParts'] == 1 else 'parts'}")
        chat, pager_duty = alert["chat"], alert["pagerDuty"]
        assert shown["chatTitle"] == ([chat["content"]["title"]] if chat else [])
        assert "\n".join(f"- {point}" for point in shown["chatPoints"]) == (chat["content"]["description"] if chat else "")
        assert [json.loads(text) for text in shown["pagerDuty"]] == ([pager_duty] if pager_duty else [])
        assert shown["summary"] == ([pager_duty["payload"]["summary"]] if pager_duty else [])


def test_tests_reach_neither_pagers_nor_chat(preview) -> None:
    alerts, _ = preview
    for alert in alerts:
        everybody = alert["document"]["audience"] == "alert"
        assert ((alert["chat"] is not None), (alert["pagerDuty"] is not None)) == (everybody, everybody)


def test_the_terminal_shows_the_same(preview) -> None:
    alerts, page = preview
    shown = page.with_name("terminal.txt").read_text(encoding="utf-8")
    for alert in alerts:
        for text in (alert["title"], f"Subject: {alert['email']['subject']}", alert["sms"]):
            assert text in shown
        for line in alert["email"]["body"].splitlines():
            assert line in shown
        if alert["chat"]:
            assert alert["chat"]["content"]["title"] in shown
    assert not preview_page.INVISIBLE.search(shown)


MARKUP = "</style></pre></textarea>\"'><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\"><b>&amp;"


def spoiled(value: object) -> object:
    """The same with markup for every text in it."""
    if isinstance(value, dict):
        return {name: each if name in ("language", "audience") else spoiled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [spoiled(each) for each in value]
    return MARKUP if isinstance(value, str) else value


def looked_at(chromium, page: Path) -> dict:
    """What could do something on a page."""
    chromium.open(page)
    return chromium.ask("""({
      title: document.title,
      elements: [...new Set([...document.querySelectorAll("*")].map((each) => each.localName))],
      attributes: [...new Set([...document.querySelectorAll("*")].flatMap((each) => each.getAttributeNames()))],
      links: [...new Set([...document.querySelectorAll("[href]")].map((each) => each.getAttribute("href")))],
    })""")


def harmless(found: dict) -> None:
    assert found["title"] == "What people and machines get"
    assert not {"script", "img", "iframe", "object", "embed", "link", "svg", "form", "textarea", "b", "name"} & set(found["elements"])
    assert set(found["attributes"]) <= {
        "charset", "checked", "class", "content", "dir", "href", "http-equiv", "id", "lang", "name", "rel", "scope", "tabindex", "type",
        "aria-label",
    }


def test_names_stay_text(preview, chromium) -> None:
    alerts, page = preview

    found = looked_at(chromium, page)

    harmless(found)
    assert all(link.startswith(("#", "https://www.openstreetmap.org/?mlat=")) for link in found["links"])
    assert chromium.requested() == [page.as_uri()]
    seen = chromium.ask(SEEN)
    for language in ("en", "es", "fr", "zh-Hans"):
        [document] = seen[f"hostile-names-{language}"]["document"]
        assert "<script>document.title='owned'</script>" in document
        # What turns the direction of writing is shown and does not do it.
        assert "\\u202e" in document and not preview_page.INVISIBLE.search(document)


def test_whatever_the_page_shows_is_text(preview, chromium, tmp_path) -> None:
    """Also where alerts have no markup today, and without the page's policy, which would stop a script anyway."""
    alerts, _ = preview
    alert = next(alert for alert in alerts if alert["chat"] and alert["pagerDuty"])
    alert = spoiled(alert)
    alert["attributes"] = {MARKUP: MARKUP}
    alert["document"]["mapUrl"] = link = f"https://{MARKUP}"
    alert["chat"]["content"]["description"] = f"- {MARKUP}\n- {MARKUP}{link}{MARKUP}"
    text = preview_page.page([alert])
    policy = preview_page.escaped(preview_page.POLICY)
    assert policy in text
    page = tmp_path / "page.html"
    page.write_text(text.replace(policy, ""), encoding="utf-8")

    found = looked_at(chromium, page)

    harmless(found)
    [shown] = chromium.ask(SEEN).values()
    for name in ("title", "kind", "subject", "body", "sms", "chatTitle", "summary"):
        assert shown[name] in (MARKUP, [MARKUP]), name
    assert shown["attributes"] == [[MARKUP, MARKUP]]
    assert shown["chatPoints"] == [MARKUP, f"{MARKUP}{link}{MARKUP}"]


@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_the_page_fits_its_window(preview, chromium, width: int, height: int) -> None:
    _, page = preview
    chromium.open(page, width, height)

    assert chromium.ask("innerWidth") == width
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    # A panel hides what is too wide for it, which must be nothing.
    assert chromium.ask("""
      [...document.querySelectorAll(".panel, .panel > *, .bubble")].filter((each) => each.scrollWidth > each.clientWidth + 1)
        .map((each) => `${each.closest("article").id} ${each.className}`)
    """) == []


def test_one_language_can_be_chosen(preview, chromium) -> None:
    _, page = preview
    chromium.open(page)
    visible = '[...new Set([...document.querySelectorAll("article")].filter((each) => each.checkVisibility()).map((each) => each.querySelector("h3").lang))]'

    assert chromium.ask(visible) == ["en", "es", "fr", "zh-Hans"]
    for language in ("fr", "zh-Hans"):
        chromium.ask(f'document.getElementById("only-{language}").click()')
        assert chromium.ask(visible) == [language]
    chromium.ask('document.getElementById("only-all").click()')
    assert len(chromium.ask(visible)) == 4


@pytest.mark.parametrize(("width", "height"), WINDOWS[:2])
def test_a_picture_of_it_shows_something(preview, chromium, width: int, height: int) -> None:
    _, page = preview
    chromium.open(page, width, height)
    picture = chromium.screenshot()
    # For people to look at.
    album = ROOT / "target" / "preview"
    album.mkdir(parents=True, exist_ok=True)
    (album / f"{width}.png").write_bytes(picture)

    shown = browser.pixels(picture)

    assert shown[:2] == (width, height)
    size = len(shown[2][0]) // width
    colours = [{row[at:at + 3] for at in range(0, len(row), size)} for row in shown[2]]
    # Letters with soft edges have many shades, and something is drawn all the way down.
    assert len(set().union(*colours)) > 50
    assert sum(len(row) > 1 for row in colours) > height / 2
    for quarter in range(4):
        assert any(len(row) > 2 for row in colours[quarter * height // 4:(quarter + 1) * height // 4])
