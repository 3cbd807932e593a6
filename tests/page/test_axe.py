"""WCAG 2.2 AA by axe-core on every page, in both themes, on a desk and on a phone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import ecgs
import pytest
from steps import ask, ask_with_sample, open_all, send

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"light": TAGS, "dark": {"type": "rule", "values": ["color-contrast"]}}
WINDOWS = {"desk": {"width": 1400, "height": 900}, "phone": {"width": 390, "height": 844}}


def test_axe_is_what_was_released():
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == SHA256


def violations(page, scheme: str) -> list[str]:
    """Rule by rule, with where it is broken. In the dark only colours are others."""
    page.evaluate("(source) => { (0, eval)(source); }", AXE.read_text())
    found = page.evaluate(
        "(asked) => axe.run(document, { runOnly: asked, resultTypes: ['violations'] })", RULES[scheme]
    )
    assert found["passes"], "axe looked at nothing"
    return [
        f"{page.url} {each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", WINDOWS)
def test_no_page_breaks_a_rule(open_page, keyed, window, scheme):
    page = open_page(viewport=WINDOWS[window], color_scheme=scheme)
    found = []

    def look():
        open_all(page)
        found.extend(violations(page, scheme))

    for address in ("/", "/docs", "/answers/gone"):
        page.goto(address)
        look()
    send(page, ecgs.other("letter.txt", b"Dear colleague,"))
    look()
    ask_with_sample(page)
    look()
    page.get_by_role("button", name="Calipers").click()
    look()
    page.locator("[data-enlarge]").first.click()
    look()
    page.keyboard.press("Escape")
    page.locator("text.ecg-label").first.press("Enter")
    page.locator("dialog canvas").wait_for()
    look()
    page.keyboard.press("Escape")
    page.locator(".study h3 a").first.click()
    page.wait_for_url("**/studies/*")
    look()
    ask(page, ecgs.noise())
    look()
    send(page, ecgs.heart(1), ecgs.heart(2))
    look()
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Two beside each other").click()
    page.wait_for_url("**/beside*")
    look()
    page.goto(keyed.url)
    look()
    page.goto(f"{keyed.url}/admin")
    look()
    page.fill("#key", keyed.operator)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin*")
    page.locator("#key").wait_for(state="detached")
    look()
    assert not found, "\n".join(found)
