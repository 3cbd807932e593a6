"""What people do on the page, in one line each."""

from __future__ import annotations

FIND = "Find similar studies"


def send(page, *files) -> None:
    """Upload by the form, to wherever that leads."""
    page.goto("/")
    page.set_input_files("#files", list(files))
    with page.expect_navigation():
        page.get_by_role("button", name=FIND).click()


def ask(page, file) -> str:
    """The address of the answer to one ECG."""
    send(page, file)
    assert "/answers/" in page.url, page.locator("main").inner_text()
    return page.url


def ask_with_sample(page) -> str:
    """The same with the invented ECG."""
    page.goto("/")
    page.get_by_role("button", name="Try a simulated ECG").click()
    page.wait_for_url("**/answers/*")
    return page.url


def studies(page) -> list[str]:
    return page.locator(".study h3 a").all_inner_texts()


def open_all(page) -> None:
    """Every part that can be folded away."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")


def tab_to(page, selector: str, most: int = 150) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never came to {selector}")


def overflow(page) -> int:
    """By how many pixels the document is wider than its window."""
    return page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
