"""Views that the index was given as vectors: they have no address of a picture, and answer and page say why.

Of the made-up studies the first view has a picture, the second one none.
"""

from __future__ import annotations

import html

from outputs.words import NO_PICTURES


def test_the_answer_has_no_address_for_a_picture_that_is_not_there_and_says_why(start_app):
    with start_app() as running:
        shown, given = running.search(1).json()["neighbours"][0]["views"]
    assert shown["thumbnail_url"].endswith("/views/v1/thumbnail")
    assert "made_of" not in shown
    assert "thumbnail_url" not in given
    assert given["made_of"] == "vector"


def test_the_page_shows_the_pictures_that_are_there_and_says_why_others_are_not(start_app):
    with start_app() as running:
        page = running.client.post("/", follow_redirects=True, files={"files": b"1"}, data={"k": "3"}).text
    assert page.count("<img ") == 3
    assert page.count("/views/v2/thumbnail") == 0
    assert NO_PICTURES in html.unescape(page)
