"""Calipers measure what is on the screen: a pulse of 1 mV and 1 s, wherever the browser has drawn it."""

from __future__ import annotations

import io
import re
from itertools import product

import ecgs
import numpy as np
import pytest
from PIL import Image
from steps import ask, tab_to

SPEEDS, GAINS = (12.5, 25, 50), (5, 10, 20)


@pytest.fixture(scope="module")
def shared(browser, site):
    """One kept answer to the pulse for all tests of this file: the cookie that it belongs to, and its path."""
    context = browser.new_context(base_url=site)
    url = ask(context.new_page(), ecgs.pulse())
    yield context.storage_state(), url.removeprefix(site).split("?")[0]
    context.close()


@pytest.fixture
def drawn(open_page, shared):
    """`drawn(speed, gain, **context)`: the pulse in lead II alone, with nothing but ink on the paper."""
    state, path = shared

    def show(speed=25, gain=10, *, zoom=1.0, **options):
        page = open_page(storage_state=state, viewport={"width": 1400, "height": 900}, **options)
        page.goto(f"{path}?layout=II&speed={speed:g}&gain={gain:g}")
        page.evaluate("(zoom) => { document.documentElement.style.zoom = zoom; }", zoom)
        page.locator("svg.ecg").wait_for()
        return page

    return show


def pulse_on_screen(page):
    """Its left, right, upper and lower edge in pixels of the window, by the box that the browser has for its line."""
    line = page.locator("path.ecg-trace")
    line.scroll_into_view_if_needed()
    x, y, width, height = line.evaluate(
        "(line) => ((box) => [box.x, box.y, box.width, box.height])(line.getBoundingClientRect())"
    )
    per_s = width / (10 - 1 / ecgs.RATE_HZ)
    left = x + ecgs.PULSE_FROM_S * per_s
    return left, left + ecgs.PULSE_S * per_s, y, y + height


def measured(page):
    """What the page says: milliseconds and millivolt."""
    said = page.locator("output.readout").inner_text()
    ms, mv = re.fullmatch(r"([\d.]+) ms(?:, \d+/min)?, ([+\u2212][\d.]+) mV", said).groups()
    return float(ms), float(mv.replace("\u2212", "-"))


def right_to_a_percent(page):
    ms, mv = measured(page)
    assert ms == pytest.approx(1000 * ecgs.PULSE_S, rel=0.0101)
    assert mv == pytest.approx(ecgs.PULSE_MV, rel=0.0101)


def test_the_pulse_is_on_the_screen_where_the_browser_says(drawn):
    """Read from a picture, so that the other tests measure what people see."""
    page = drawn(device_scale_factor=2)
    hidden = ".ecg-grid, .ecg-seen, .ecg-label, .ecg-word, .ecg-frame, .ecg-calibration"
    page.evaluate(f"document.querySelectorAll('{hidden}').forEach((part) => {{ part.style.visibility = 'hidden'; }})")
    left, right, upper, lower = pulse_on_screen(page)
    clip = {"x": left - 20, "y": upper - 10, "width": right - left + 40, "height": lower - upper + 20}
    grey = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L"), float)
    ink_HW = grey.max() - grey
    upper_part = ink_HW[: ink_HW.shape[0] // 2]
    columns = np.flatnonzero(ink_HW[30:-30].sum(0) > ink_HW[30:-30].sum(0).max() / 2) / 2
    rows = np.flatnonzero(upper_part.sum(1) > upper_part.sum(1).max() / 2) / 2
    assert columns.min() == pytest.approx(20, abs=1)
    assert columns.max() == pytest.approx(20 + right - left, abs=1)
    assert rows.mean() == pytest.approx(10, abs=1)


def drag(page, edges):
    left, right, upper, lower = edges
    page.mouse.move(left, lower)
    page.mouse.down()
    page.mouse.move((left + right) / 2, upper, steps=2)
    page.mouse.move(right, upper)
    page.mouse.up()


@pytest.mark.parametrize("pixels", [0.5, 1, 2])
def test_by_mouse_at_every_zoom_of_the_browser_speed_and_gain(drawn, pixels):
    for speed, gain in product(SPEEDS, GAINS):
        page = drawn(speed, gain, device_scale_factor=pixels)
        drag(page, pulse_on_screen(page))
        right_to_a_percent(page)
        page.context.close()


@pytest.mark.parametrize("zoom", [0.5, 2])
@pytest.mark.parametrize(("speed", "gain"), [(12.5, 5), (25, 10)])
def test_by_mouse_where_the_page_itself_is_zoomed(drawn, zoom, speed, gain):
    page = drawn(speed, gain, zoom=zoom, device_scale_factor=2)
    drag(page, pulse_on_screen(page))
    right_to_a_percent(page)


@pytest.mark.parametrize(("speed", "gain"), [(12.5, 20), (25, 5), (25, 10)])
def test_by_touch(drawn, speed, gain):
    page = drawn(speed, gain, has_touch=True)
    left, right, upper, lower = pulse_on_screen(page)
    finger = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": x, "y": y} for x, y in places]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (left, lower))
    touch("touchEnd")
    assert page.locator(".calipers").count() == 0, "a finger scrolls unless it was told to measure"
    page.get_by_role("button", name="Calipers").tap()
    left, right, upper, lower = pulse_on_screen(page)
    for name, *there in (("First", left, lower), ("Second", right, upper)):
        end = page.get_by_role("slider", name=f"{name} end of the calipers").bounding_box()
        assert min(end["width"], end["height"]) >= 24, "large enough for a finger"
        here = end["x"] + end["width"] / 2, end["y"] + end["height"] / 2
        touch("touchStart", here)
        touch("touchMove", [(one + other) / 2 for one, other in zip(here, there, strict=True)])
        touch("touchMove", there)
        touch("touchEnd")
    right_to_a_percent(page)


def test_with_calipers_on_a_finger_scrolls_unless_it_is_put_on_an_end(open_page, shared):
    state, path = shared
    page = open_page(storage_state=state, viewport={"width": 390, "height": 844}, has_touch=True)
    page.goto(path)
    page.get_by_role("button", name="Calipers").tap()
    sheet = page.locator(".tracing")

    finger = page.context.new_cdp_session(page)

    def swiped(x, y):
        """How far the tracing was scrolled, and whether an end moved."""
        before = sheet.evaluate("(sheet) => sheet.scrollLeft"), page.locator("output.readout").inner_text()
        for kind, distance in (("touchStart", 0), *(("touchMove", step) for step in range(10, 90, 10))):
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x - distance, "y": y}]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        after = sheet.evaluate("(sheet) => sheet.scrollLeft"), page.locator("output.readout").inner_text()
        return after[0] - before[0], after[1] != before[1]

    end = page.get_by_role("slider", name="Second end of the calipers").bounding_box()
    assert 0 < end["x"] < 390
    assert 0 < end["y"] < 844, "they begin in sight"
    scrolled, moved = swiped(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2)
    assert scrolled == 0
    assert moved
    box = sheet.bounding_box()
    scrolled, moved = swiped(200, box["y"] + box["height"] - 40)
    assert scrolled > 40
    assert not moved


def test_between_two_leads_there_is_no_millivolt(open_page, shared):
    state, path = shared
    page = open_page(storage_state=state, viewport={"width": 1400, "height": 1200})
    page.goto(path)
    of_lead = {
        lead: page.locator(f"g.ecg-strip[data-lead={lead}] path").first.bounding_box() for lead in ("I", "II", "aVR")
    }

    def says(one, other):
        """Of the pulse in one lead and in another, from its foot to its top."""
        x, y, width, height = of_lead[one].values()
        page.mouse.move(x + width / 4, y + height)
        page.mouse.down()
        x, y, width, height = of_lead[other].values()
        page.mouse.move(x + width / 2, y)
        page.mouse.up()
        return page.locator("output.readout").inner_text()

    assert re.fullmatch(r"\d+ ms, \d+/min, \+1\.0\d mV", says("I", "I"))
    for two in (("I", "II"), ("II", "I"), ("I", "aVR")):
        assert re.fullmatch(r"\d+ ms(, \d+/min)?; ms only between leads", says(*two))


@pytest.mark.parametrize(("speed", "gain", "pixels"), [*product(SPEEDS, GAINS, [1]), (25, 10, 2)])
def test_by_keyboard(drawn, speed, gain, pixels):
    page = drawn(speed, gain, device_scale_factor=pixels)
    tab_to(page, "[data-measure]")
    page.keyboard.press("Enter")
    left, right, upper, lower = pulse_on_screen(page)
    per_mm = page.locator("svg.ecg").bounding_box()["width"] / float(
        page.locator("svg.ecg").get_attribute("width").removesuffix("mm")
    )
    for name, x, y in (("First", left, lower), ("Second", right, upper)):
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"{name} end of the calipers"
        box = page.locator(f"[aria-label='{name} end of the calipers']").bounding_box()
        press(page, "ArrowRight", "ArrowLeft", (x - box["x"] - box["width"] / 2) / per_mm)
        press(page, "ArrowDown", "ArrowUp", (y - box["y"] - box["height"] / 2) / per_mm)
        page.keyboard.press("Tab")
    right_to_a_percent(page)


def press(page, forward, back, distance_mm):
    """A small square at a time with Shift, then in the finest steps."""
    key, units = (forward if distance_mm > 0 else back), round(abs(distance_mm) / 0.05)
    for _ in range(units // 20):
        page.keyboard.press(f"Shift+{key}")
    for _ in range(units % 20):
        page.keyboard.press(key)


def test_escape_puts_them_away_and_a_screen_reader_hears_what_an_end_measures(drawn):
    page = drawn()
    button = page.get_by_role("button", name="Calipers")
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    end = page.get_by_role("slider", name="Second end of the calipers")
    assert end.get_attribute("aria-valuetext") == page.locator("output.readout").inner_text() != ""
    end.press("Escape")
    assert page.locator(".calipers").count() == 0
    assert page.locator("output.readout").inner_text() == ""
    assert button.get_attribute("aria-pressed") == "false"
    assert page.evaluate("document.activeElement.hasAttribute('data-measure')")
