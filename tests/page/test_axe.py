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


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=WINDOWS)
def page(open_page, request, scheme):
    return open_page(viewport=WINDOWS[request.param], color_scheme=scheme)


@pytest.fixture
def look(page, scheme):
    """`look()` at the page as it is, with all of it open; at the end nothing may be wrong."""
    found = []

    def look():
        open_all(page)
        found.extend(violations(page, scheme))

    yield look
    assert not found, "\n".join(found)


def test_no_page_breaks_a_rule(page, look):
    for address in ("/", "/docs", "/answers/gone", "/studies/none", "/admin"):
        page.goto(address)
        look()
    send(page, ecgs.other("letter.txt", b"Dear colleague,"))
    look()
    answer = ask_with_sample(page)
    look()
    for asked in ("lvef_min=60&lvef_max=40", "view=none", "age_min=20&k=3&layout=12x1"):
        page.goto(f"{answer}?{asked}")
        look()
    page.goto(f"{answer}/why?of=lvef_percent")
    look()
    page.goto(answer)
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


def test_no_page_behind_a_key_breaks_a_rule(page, look, keyed):
    page.goto(keyed.url)
    look()
    page.fill("#key", "wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").wait_for()
    look()
    page.fill("#key", keyed.reader)
    page.get_by_role("button", name="Log in").click()
    page.locator("#files").wait_for()
    look()
    page.goto(f"{keyed.url}/ui")
    look()
    page.goto(f"{keyed.url}/admin")
    look()
    page.fill("#key", keyed.operator)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin*")
    page.locator("#key").wait_for(state="detached")
    look()
    page.fill("#name", "looked at")
    page.get_by_label("admin: ").check()
    page.get_by_role("button", name="Make a key").click()
    page.locator("#secret").wait_for()
    look()
    page.reload()
    page.get_by_text("made already").wait_for()
    look()
    page.get_by_role("button", name="Revoke looked at for good").click()
    page.get_by_text("Revoked: ").wait_for()
    look()
