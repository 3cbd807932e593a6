"""The page of components: there where it is switched on, and as strict as any other."""

from __future__ import annotations

import re

import pytest

from app.web.assets import ASSETS


def test_it_exists_only_where_it_is_switched_on(start_app):
    with start_app() as running:
        assert running.client.get("/ui").status_code == 404
        assert running.client.get("/ui/samples?lead=II").status_code == 404


@pytest.fixture
def page(start_app):
    with start_app(ui_page=True) as running:
        yield running.client.get("/ui").text
        assert running.client.get("/ui/samples?lead=II").json()["lead"] == "II"
        assert running.client.get("/ui/samples?lead=X").status_code == 404
        assert running.client.get("/ui/picture").headers["content-type"] == "image/svg+xml"


def test_it_shows_every_component_without_a_style_or_script_of_its_own(page):
    for part in ("withheld", "warning", "problem", "tag heed", "tracing", "no-picture", "chart", "stack", "drop"):
        assert f'class="{part}' in page or f" {part}" in page
    assert " style=" not in page
    assert not re.findall(r"<script(?![^>]* src=\"/static/)", page)
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_every_colour_of_the_style_sheet_but_those_of_paper_is_on_it(page):
    tokens = re.findall(r"--([a-z-]+): light-dark", ASSETS["page.css"].content.decode())
    shown = set(re.findall(r"swatch-([a-z-]+)", page))
    assert set(tokens) - shown == {"on-act", "grid-thin", "grid-thick", "trace"}
