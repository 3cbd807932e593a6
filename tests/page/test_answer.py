"""The answer: its studies, its pictures, its address, and what is taken along."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET

import ecgs
import numpy as np
import pytest
from playwright.sync_api import expect
from steps import ask, ask_with_sample, open_all, studies

NARROW = "#similar summary:has-text('Narrow down')"


@pytest.fixture
def answer(page):
    ask_with_sample(page)
    return page


def narrow(page, **fields):
    page.locator(NARROW).click()
    for name, value in fields.items():
        page.fill(f"#{name}", value)
    with page.expect_response("**/answers/*"):
        page.get_by_role("button", name="Search again").click()


def lvef_of(page):
    """Of every study that is shown, by its name; None where it is unknown."""
    said = {}
    for study in page.locator(".study").all():
        percent = re.search(r"LVEF\s*(\d+) %", study.inner_text())
        said[study.locator("h3 a").inner_text()] = None if percent is None else int(percent[1])
    return said


def test_studies_are_narrowed_down_and_clear_brings_all_back(answer):
    before, address = lvef_of(answer), answer.url
    limit = sorted(percent for percent in before.values() if percent is not None)[5]
    answer.locator(NARROW).click()
    answer.check("#one_per_patient")
    answer.fill("#lvef_max", str(limit))
    answer.get_by_role("button", name="Search again").click()
    answer.wait_for_url("**one_per_patient=true*")
    expect(answer.locator("#similar p[role=status]:not(.working)")).to_be_visible()
    after = lvef_of(answer)
    assert after
    assert max(after.values()) <= limit
    assert len({name.rsplit("-", 1)[0] for name in after}) == len(after), "the simulator names a study by its patient"
    assert answer.input_value("#lvef_max") == str(limit)
    assert answer.is_checked("#one_per_patient")
    assert "lvef_min" not in answer.url, "a field left empty is no part of the address"
    answer.get_by_role("link", name="Clear").click()
    answer.wait_for_url(lambda url: "lvef_max" not in url)
    assert lvef_of(answer) == before
    assert answer.url.split("#")[0] == address


def test_a_narrowed_answer_has_an_address_that_shows_the_same_again(answer):
    narrow(answer, age_min="30", k="3")
    answer.wait_for_url("**age_min=30*")
    expect(answer.locator(".study")).to_have_count(3)
    shown = studies(answer)
    answer.reload()
    assert studies(answer) == shown
    assert answer.input_value("#age_min") == "30"
    answer.go_back()
    expect(answer.locator(".study")).to_have_count(10)
    answer.go_forward()
    expect(answer.locator(".study")).to_have_count(3)
    assert studies(answer) == shown


def test_a_filter_that_cannot_be_is_said_and_no_study_stands_beside_it(answer):
    answer.goto(f"{answer.url}?lvef_min=60&lvef_max=40")
    assert '"LVEF at least" must not be above "LVEF at most".' in answer.get_by_role("alert").inner_text()
    assert studies(answer) == []
    assert answer.locator("svg.ecg").count() == 1
    assert answer.input_value("#lvef_min") == "60"


def test_and_so_it_is_where_a_script_brings_only_the_studies(answer):
    narrow(answer, lvef_min="60", lvef_max="40")
    answer.get_by_text('"LVEF at least" must not be above "LVEF at most".').wait_for()
    assert answer.input_value("#lvef_min") == "60"


def test_what_a_script_cannot_bring_any_more_is_a_page_that_says_so(answer):
    answer.context.clear_cookies()
    answer.get_by_role("link", name="12×1").click()
    assert "no longer there" in answer.get_by_role("alert").inner_text()


def test_a_view_is_enlarged_and_escape_goes_back_to_it(answer):
    view = answer.locator("[data-enlarge]").first
    view.click()
    dialog = answer.get_by_role("dialog")
    dialog.locator("img").wait_for()
    expect(dialog.locator("img")).to_have_js_property("complete", True)
    assert dialog.locator("img").evaluate("(image) => image.naturalWidth") > 0
    assert dialog.locator("img").bounding_box()["width"] > 2 * view.bounding_box()["width"]
    assert dialog.get_attribute("aria-label") == view.get_attribute("data-caption")
    answer.keyboard.press("Escape")
    assert dialog.count() == 0
    assert view.evaluate("(button) => button === document.activeElement")


COLUMNS_OF_PAPER = """(canvas) => {
    const { width, height } = canvas;
    document.body.style.color = "var(--grid-thick)";
    const thick = getComputedStyle(document.body).color.match(/[0-9]+/g).map(Number);
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const alike = (x, y) => thick.every((part, place) => Math.abs(data[4 * (y * width + x) + place] - part) < 3);
    const rows = [0.12, 0.16, 0.2, 0.24, 0.28, 0.32].map((share) => Math.round(share * height));
    return Array.from({ length: width }, (_, x) => x).filter((x) => rows.filter((y) => alike(x, y)).length > 1);
}"""
"""Where thick lines of the grid go down."""


def test_a_lead_is_shown_alone_with_its_numbers(answer):
    label = answer.locator("text.ecg-label", has_text="V2").first
    label.focus()
    answer.keyboard.press("Enter")
    dialog = answer.get_by_role("dialog")
    dialog.locator("canvas").wait_for()
    assert dialog.get_attribute("aria-label") == "Lead V2"
    thick = dialog.locator("canvas").evaluate(COLUMNS_OF_PAPER)
    assert len(thick) in (50, 51), "ten seconds of large squares"
    assert np.ptp(np.diff(thick)) <= 1
    answer.keyboard.press("Escape")
    assert dialog.count() == 0


def test_layout_speed_and_gain_are_part_of_an_address_that_can_be_kept(answer):
    def drawing():
        return answer.locator("svg.ecg").evaluate("(svg) => [svg.dataset.mmPerS, svg.dataset.mmPerMv]")

    assert drawing() == ["25", "10"]
    answer.get_by_role("link", name="12×1").click()
    answer.wait_for_url("**layout=12x1*")
    answer.get_by_role("group", name="mm/s").get_by_role("link", name="50").click()
    answer.wait_for_url("**speed=50*")
    answer.get_by_role("group", name="mm/mV").get_by_role("link", name="20").click()
    answer.wait_for_url("**gain=20*")
    expect(answer.locator("svg.ecg")).to_have_attribute("data-mm-per-mv", "20")
    assert drawing() == ["50", "20"]
    assert answer.get_by_role("button", name="Calipers").is_visible()
    kept = answer.locator("svg.ecg").get_attribute("aria-label")
    answer.reload()
    assert answer.locator("svg.ecg").get_attribute("aria-label") == kept
    assert drawing() == ["50", "20"]
    narrow(answer, k="3")
    expect(answer.locator(".study")).to_have_count(3)
    assert drawing() == ["50", "20"]


def test_back_from_a_study_is_the_answer_and_reload_asks_nothing_again(answer, open_page):
    address, shown = answer.url, studies(answer)
    answer.locator(".study h3 a").first.click()
    answer.wait_for_url("**/studies/*")
    assert shown[0] in answer.get_by_role("heading", level=1).inner_text()
    answer.go_back()
    assert (answer.url, studies(answer)) == (address, shown)
    answer.go_forward()
    answer.get_by_role("link", name="Back to the answer").click()
    answer.wait_for_url("**/answers/*")
    assert studies(answer) == shown
    answer.reload()
    assert studies(answer) == shown
    assert sum(url.endswith("/sample") for url in open_page.seen.urls) == 1


def test_the_address_says_nothing_to_another_browser(answer, open_page):
    stranger = open_page()
    for ending in ("", ".json", ".csv", ".pdf", ".svg", "/samples?lead=I"):
        response = stranger.request.get(f"{answer.url}{ending}")
        assert response.status == 404
        assert "no longer there" in response.text()
    stranger.goto(answer.url)
    assert "no longer there" in stranger.get_by_role("alert").inner_text()
    assert studies(stranger) == []
    assert studies(answer) == (answer.reload() and studies(answer))


def taken(page, kind):
    with page.expect_download() as download:
        page.get_by_role("link", name=kind, exact=True).click()
    assert download.value.suggested_filename.endswith(f".{kind.lower()}")
    return download.value.path().read_bytes()


def test_what_is_taken_along_is_what_it_says_it_is(answer):
    shown = studies(answer)
    pdf = taken(answer, "PDF")
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") == 1
    assert [hit["study_id"] for hit in json.loads(taken(answer, "JSON"))["neighbours"]] == shown
    rows = list(csv.reader(io.StringIO(taken(answer, "CSV").decode())))
    assert len({len(row) for row in rows}) == 1
    assert all(any(study in row for row in rows) for study in shown)
    svg = ET.fromstring(taken(answer, "SVG"))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(svg.findall(".//{http://www.w3.org/2000/svg}g[@class='ecg-strip']")) == 13


def test_what_is_taken_along_is_what_was_narrowed_down(answer):
    narrow(answer, k="3")
    expect(answer.locator(".study")).to_have_count(3)
    assert [hit["study_id"] for hit in json.loads(taken(answer, "JSON"))["neighbours"]] == studies(answer)


def test_of_a_withheld_answer_nothing_but_that_is_taken_along(page):
    ask(page, ecgs.noise())
    said = json.loads(taken(page, "JSON"))
    assert said["withheld"]
    assert said.get("neighbours") is None
    assert said.get("predictions") is None
    assert taken(page, "PDF").startswith(b"%PDF")


def test_the_print_sheet_has_two_pages_at_most_and_no_controls(answer):
    open_all(answer)
    answer.emulate_media(media="print")
    for control in ("nav", ".toolbar a", "button:visible:not(figure button)", "input:visible", ".skip:visible"):
        assert not [one for one in answer.locator(control).all() if one.is_visible()], control
    assert answer.locator("svg.ecg").is_visible()
    assert "research" in answer.locator(".world").inner_text().lower()
    answer.emulate_media(media="null")
    answer.reload()
    assert pages_of(answer.pdf(prefer_css_page_size=True)) <= 2


def pages_of(pdf):
    return pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") + pdf.count(b"/Type/Page\n")


def test_the_first_answer_page_is_under_300_kb_as_transferred(page):
    wire, kinds, sizes = page.context.new_cdp_session(page), {}, {}
    wire.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))
    wire.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    wire.send("Network.enable")
    ask_with_sample(page)
    page.wait_for_load_state("networkidle")
    counted = {one: size for one, size in sizes.items() if kinds.get(one) != "Image"}
    assert {"Document", "Script", "Stylesheet"} <= {kinds[one] for one in counted}
    assert sum(counted.values()) < 300_000
