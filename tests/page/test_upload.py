"""ECGs go in by hand, by drop and several at once; and what is refused is refused in one sentence."""

from __future__ import annotations

import base64

import ecgs
import pytest
from steps import FIND, ask, ask_with_sample, overflow, send, studies


def test_the_file_picker_says_what_was_chosen_and_leads_to_the_answer(page):
    page.goto("/")
    page.set_input_files("#files", [ecgs.heart()])
    assert page.locator("[data-chosen]").inner_text() == "Chosen: heart-1.csv"
    page.get_by_role("button", name=FIND).click()
    page.wait_for_url("**/answers/*")
    assert len(studies(page)) == 10
    assert page.locator("#tracing svg.ecg").count() == 1


def test_what_is_dropped_is_chosen(page):
    page.goto("/")
    ecg = ecgs.heart(2)
    dropped = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const dropped = new DataTransfer();
            dropped.items.add(new File([bytes], name));
            return dropped;
        }""",
        [ecg["name"], base64.b64encode(ecg["buffer"]).decode()],
    )
    page.dispatch_event(".drop", "dragover", {"dataTransfer": dropped})
    assert page.locator(".drop.over").count() == 1
    page.dispatch_event(".drop", "drop", {"dataTransfer": dropped})
    assert page.locator(".drop.over").count() == 0
    assert page.locator("[data-chosen]").inner_text() == "Chosen: heart-2.csv"
    page.get_by_role("button", name=FIND).click()
    page.wait_for_url("**/answers/*")
    assert len(studies(page)) == 10


def test_the_invented_ecg_is_one_click_away(page):
    ask_with_sample(page)
    assert len(studies(page)) == 10
    assert "simulated" in page.locator(".world").inner_text().lower()


def test_several_ecgs_become_a_list_and_two_of_them_are_compared(page):
    send(page, ecgs.heart(1), ecgs.heart(2), ecgs.other("letter.txt", b"Dear colleague,"))
    page.wait_for_url("**/uploads/*")
    rows = page.locator("tbody tr")
    assert rows.count() == 3
    assert rows.nth(2).locator("strong").count() == 1, "one was refused, and the others were not"
    assert rows.get_by_role("checkbox").count() == 2
    for box in rows.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Two beside each other").click()
    page.wait_for_url("**/beside?*")
    assert page.locator("svg.ecg").count() == 2
    compared = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in page.locator("tbody tr").all()
    }
    first, second, change = compared["Heart rate"]
    assert first.endswith("/min")
    assert first != second
    assert int(change.removesuffix("/min")) == int(second.removesuffix("/min")) - int(first.removesuffix("/min"))
    first, second, change = compared["QT"]
    assert first.endswith(" ms")
    assert second.endswith(" ms")
    page.go_back()
    page.get_by_role("link", name="2", exact=True).click()
    page.wait_for_url("**/answers/*")
    assert len(studies(page)) == 10


@pytest.mark.parametrize(("width", "beside"), [(1400, True), (1200, True), (1100, False), (390, False)])
def test_two_tracings_stand_beside_each_other_where_there_is_room(open_page, width, beside):
    page = open_page(viewport={"width": width, "height": 900})
    send(page, ecgs.heart(1), ecgs.heart(2))
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Two beside each other").click()
    one, other = (drawn.bounding_box() for drawn in page.locator("svg.ecg").all())
    assert (other["x"] >= one["x"] + one["width"]) is beside
    assert (other["y"] >= one["y"] + one["height"]) is not beside
    assert overflow(page) <= 0
    assert page.locator(".reduced").is_visible() is beside


def test_one_ticked_ecg_is_not_compared(page):
    send(page, ecgs.heart(1), ecgs.heart(2))
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Two beside each other").click()
    assert "Two ECGs are compared" in page.get_by_role("alert").inner_text()


REFUSED = {
    "a letter": [ecgs.other("letter.txt", b"Dear colleague,")],
    "a picture": [ecgs.other("scan.png", b"\x89PNG\r\n\x1a\n" + bytes(100))],
    "a document": [ecgs.other("report.pdf", b"%PDF-1.7\n%%EOF\n")],
    "an empty file": [ecgs.other("ecg.csv", b"")],
    "a cut one": [ecgs.other("ecg.scp", b"\x12\x34\x00\x00\x10\x00" + bytes(20))],
    "no rate": [ecgs.without_rate()],
}


@pytest.mark.parametrize("files", REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_one_sentence_and_the_fields_keep_their_values(page, files):
    page.goto("/")
    page.get_by_text("Narrow down the studies").click()
    page.get_by_text("If the file does not say everything").click()
    page.fill("#lvef_max", "45")
    page.select_option("#sex", "female")
    page.check("#one_per_patient")
    page.select_option("#unit", "uV")
    page.fill("#k", "7")
    page.set_input_files("#files", files)
    with page.expect_navigation():
        page.get_by_role("button", name=FIND).click()
    assert page.url.endswith("/"), "a refusal is no answer"
    refusal = page.get_by_role("alert")
    assert refusal.count() == 1
    sentence = refusal.locator("strong").inner_text()
    assert sentence.endswith(".")
    assert len(sentence) < 200
    kept = {name: page.input_value(f"#{name}") for name in ("lvef_max", "sex", "unit", "k")}
    assert kept == {"lvef_max": "45", "sex": "female", "unit": "uV", "k": "7"}
    assert page.is_checked("#one_per_patient")
    assert page.is_visible("#lvef_max")
    assert page.is_visible("#unit")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("lvef_min", "60", '"LVEF at least" must not be above "LVEF at most".'),
        ("k", "1000", "100"),
        ("leads", "I,II,Q9", "3 lead names"),
    ],
)
def test_a_field_that_cannot_be_is_named_beside_the_form(page, field, value, says):
    page.goto("/")
    page.evaluate("document.querySelector('form[data-upload]').noValidate = true")
    for part in ("Narrow down the studies", "If the file does not say everything"):
        page.get_by_text(part).click()
    page.fill("#lvef_max", "45")
    page.fill(f"#{field}", value)
    page.set_input_files("#files", [ecgs.without_rate()])
    with page.expect_navigation():
        page.get_by_role("button", name=FIND).click()
    assert says in page.get_by_role("alert").inner_text()
    assert page.input_value(f"#{field}") == value
    assert page.input_value("#lvef_max") == "45"


@pytest.mark.parametrize("how_much", ["too many", "too large"])
def test_more_than_can_be_sent_is_said_before_it_is(open_page, tmp_path, how_much):
    files = [tmp_path / f"{number}.dat" for number in range(9 if how_much == "too many" else 2)]
    for file in files:
        file.write_bytes(bytes(100 if how_much == "too many" else 17 * 2**20))
    page = open_page()
    page.goto("/")
    page.set_input_files("#files", files)
    assert "At most" in page.locator("[data-chosen]").inner_text()
    page.get_by_role("button", name=FIND).click()
    assert page.locator("form.sending").count() == 0
    page.set_input_files("#files", [ecgs.heart()])
    assert page.locator("[data-chosen]").inner_text() == "Chosen: heart-1.csv"
    page.get_by_role("button", name=FIND).click()
    page.wait_for_url("**/answers/*")


def test_and_without_scripts_the_service_refuses_too_many(open_page):
    page = open_page(java_script_enabled=False)
    send(page, *[ecgs.other(f"{number}.dat", b"1") for number in range(9)])
    assert page.get_by_role("alert").locator("strong").inner_text().endswith(".")


def test_without_a_file_the_form_is_not_sent(page):
    page.goto("/")
    page.get_by_role("button", name=FIND).click()
    assert page.evaluate("document.querySelector('#files').validity.valueMissing")
    assert page.locator("form.sending").count() == 0


def test_what_lacks_its_rate_is_answered_once_that_is_filled_in(page):
    send(page, ecgs.without_rate())
    said = page.get_by_role("alert").inner_text()
    assert 'Fill in "Sampling rate"' in said
    assert "rate_hz" not in said
    assert page.locator("#rate_hz").is_visible(), "the fields that help stand open"
    page.fill("#rate_hz", "500")
    page.select_option("#unit", "mV")
    page.set_input_files("#files", [ecgs.without_rate()])
    page.get_by_role("button", name=FIND).click()
    page.wait_for_url("**/answers/*")
    assert "at 500 Hz" in page.locator(".facts").first.inner_text()


def test_a_withheld_answer_looks_withheld_and_has_no_numbers_of_the_heart(page):
    ask(page, ecgs.noise())
    assert page.get_by_role("heading", level=1).inner_text().startswith("No answer")
    withheld = page.locator(".withheld")
    assert withheld.is_visible()
    assert withheld.evaluate("(box) => getComputedStyle(box).borderTopStyle") == "double"
    assert page.locator(".big, .study, .chart, #similar").count() == 0
    assert "LVEF" not in page.locator("main").inner_text()
    assert page.locator("svg.ecg").is_visible(), "so that one sees why"
