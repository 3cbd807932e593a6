"""The page on a phone, enlarged, by keyboard alone, without scripts, in the dark and without motion."""

from __future__ import annotations

import ecgs
import pytest
from steps import FIND, ask, ask_with_sample, open_all, overflow, send, studies, tab_to

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
TWICE = {"viewport": {"width": 700, "height": 450}, "device_scale_factor": 2}


@pytest.mark.parametrize("context", [PHONE, TWICE], ids=["phone", "200 %"])
def test_no_page_is_wider_than_its_window(open_page, context):
    page = open_page(**context)
    for address in ("/", "/docs"):
        page.goto(address)
        open_all(page)
        assert overflow(page) <= 0, address
    ask_with_sample(page)
    open_all(page)
    assert overflow(page) <= 0
    page.locator(".study h3 a").first.click()
    page.wait_for_url("**/studies/*")
    assert overflow(page) <= 0
    ask(page, ecgs.noise())
    assert overflow(page) <= 0
    send(page, ecgs.heart(1), ecgs.heart(2))
    assert overflow(page) <= 0
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Two beside each other").click()
    page.wait_for_url("**/beside*")
    open_all(page)
    assert overflow(page) <= 0


def test_letters_of_twice_the_size_make_no_page_wider(page):
    ask_with_sample(page)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    open_all(page)
    assert overflow(page) <= 0


def test_on_a_phone_the_numbers_stand_on_the_first_screens(open_page):
    page = open_page(**PHONE)
    ask_with_sample(page)
    for number in ("#lvef-title", "#shd-title"):
        place = page.locator(number).bounding_box()
        assert place["y"] < 3 * 844, number
        assert 0 <= place["x"] < 390
    assert page.locator(".big").count() == 2


def test_from_form_to_answer_to_a_study_by_keyboard_alone(page):
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to(page, "#files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([ecgs.heart(3)])
    tab_to(page, "form[data-upload] button:not(.quiet)")
    page.keyboard.press("Enter")
    page.wait_for_url("**/answers/*")
    tab_to(page, "[data-enlarge]")
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").count() == 1
    page.keyboard.press("Escape")
    page.reload()
    tab_to(page, ".study h3 a")
    shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert shown != "none", "where one is can be seen"
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")


def test_without_scripts_there_is_the_same_answer(open_page):
    page = open_page(java_script_enabled=False)
    send(page, ecgs.heart(1))
    page.wait_for_url("**/answers/*")
    shown = studies(page)
    assert len(shown) == 10
    assert page.locator("svg.ecg").is_visible()
    assert not page.locator("[data-measure]").is_visible(), "what needs a script is not offered"
    assert not page.locator("[data-print]").is_visible()
    page.locator("#similar summary:has-text('Narrow down')").click()
    page.fill("#k", "3")
    page.get_by_role("button", name="Search again").click()
    page.wait_for_url("**k=3*")
    assert studies(page) == shown[:3]
    page.get_by_role("link", name="50", exact=True).click()
    page.wait_for_url("**speed=50*")
    assert studies(page) == shown[:3]
    page.locator(".study h3 a").first.click()
    page.wait_for_url("**/studies/*")
    assert shown[0] in page.get_by_role("heading", level=1).inner_text()
    page.get_by_role("link", name="Back to the answer").click()
    page.wait_for_url("**/answers/*")
    assert studies(page) == shown


def test_without_scripts_several_are_compared_and_a_refusal_is_said(open_page):
    page = open_page(java_script_enabled=False)
    send(page, ecgs.heart(1), ecgs.heart(2))
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Two beside each other").click()
    assert page.locator("svg.ecg").count() == 2
    send(page, ecgs.other("letter.txt", b"Dear colleague,"))
    assert page.get_by_role("alert").count() == 1


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_page_is_as_light_or_dark_as_the_browser_asks(open_page, scheme, dark):
    page = open_page(color_scheme=scheme)
    ask_with_sample(page)
    paper, ink = page.evaluate("((style) => [style.backgroundColor, style.color])(getComputedStyle(document.body))")
    assert (brightness(paper) < brightness(ink)) is dark
    trace = page.locator(".ecg-trace").first.evaluate("(line) => getComputedStyle(line).stroke")
    assert abs(brightness(trace) - brightness(paper)) > 150


def brightness(colour):
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return (red + green + blue) / 3


def test_who_asks_for_less_motion_sees_stills(open_page):
    page = open_page(reduced_motion="reduce")
    ask_with_sample(page)
    moving = page.locator("picture source").count()
    for picture in page.locator("picture").all():
        picture.scroll_into_view_if_needed()
        shown = picture.locator("img").evaluate("(image) => image.currentSrc")
        still = picture.locator("source")
        if moving:
            assert shown.endswith(still.get_attribute("srcset"))
        assert page.request.get(shown).headers["content-type"] == "image/jpeg"
    page.locator("[data-enlarge]").first.click()
    assert (
        page.request.get(page.locator("dialog img").evaluate("(image) => image.src")).headers["content-type"]
        == "image/jpeg"
    )


def test_the_button_that_sends_is_the_first_after_the_file(page):
    """So that Enter in a field sends the form, and does not try the invented ECG."""
    page.goto("/")
    assert page.locator("form[data-upload] [type=submit]").first.inner_text() == FIND
