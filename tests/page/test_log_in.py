"""Keys on the page: who gets in, who does not and why, and that nothing is left after log-out."""

from __future__ import annotations

import pytest
from steps import ask_with_sample, studies


def log_in(page, key):
    page.goto("/")
    page.fill("#key", key)
    with page.expect_navigation():
        page.get_by_role("button", name="Log in").click()


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def page(open_page, keyed, request):
    return open_page(at=keyed.url, java_script_enabled=request.param)


def test_a_key_opens_the_form_and_log_out_closes_it(page, keyed):
    log_in(page, keyed.reader)
    address = ask_with_sample(page)
    assert len(studies(page)) == 10
    page.get_by_role("button", name="Log out").first.click()
    page.wait_for_selector("#key")
    page.goto(address)
    assert page.locator("#key").is_visible()
    assert studies(page) == []
    log_in(page, keyed.reader)
    page.goto(address)
    assert "no longer there" in page.get_by_role("alert").inner_text()


def test_a_key_that_is_none_is_refused(page):
    log_in(page, "wrong")
    assert page.get_by_role("alert").inner_text() == "This key is not valid here."
    assert page.locator("#files").count() == 0


def test_a_key_for_operation_alone_is_told_what_it_lacks(page, keyed):
    log_in(page, keyed.operator)
    assert page.get_by_role("alert").inner_text() == "This key lacks the scope query."
    assert page.locator("#files").count() == 0


def test_no_page_is_open_to_nobody(page):
    for address in ("/", "/answers/x", "/uploads/x", "/studies/x", "/beside?of=a&of=b"):
        page.goto(address)
        assert page.locator("#key").is_visible(), address
