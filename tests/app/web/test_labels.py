"""Refusals on the pages speak of the form's own labels, and those of the API of its parameters."""

from __future__ import annotations

import html
import re

import pytest

from app.schemas import SearchQuery
from app.web.labels import LABELS, in_labels
from ground.parameter_words import PARAMETERS


@pytest.mark.parametrize(
    ("said", "on_the_page"),
    [
        ("Add rate_hz and unit to the request, for example rate_hz=500 and unit=mV.",
         'Fill in "Sampling rate" and "Unit", for example "Sampling rate" 500 and "Unit" mV.'),
        ("Leave rate_hz out: the file states its own rate.",
         'Leave "Sampling rate" empty: the file states its own rate.'),
        ("Give the parameter leads with all names in order.",
         'Give "Leads in file order" with all names in order.'),
        ("lvef_min must not be above lvef_max.", '"LVEF at least" must not be above "LVEF at most".'),
        ("sex must be female or male.", '"Sex" must be female or male.'),
        ("k: input should be less than or equal to 100.",
         '"How many studies": input should be less than or equal to 100.'),
        ("scopes.0: input should be 'query'.", '"What it may do": input should be \'query\'.'),
        ("Is lvef_max meant?", "Is lvef_max meant?"),
        ("The view of these leads has no unit.", "The view of these leads has no unit."),
    ],
)  # fmt: skip
def test_parameters_become_labels_and_words_of_every_day_stay(said, on_the_page):
    assert in_labels(said) == on_the_page


def test_every_field_that_may_be_asked_for_has_a_label():
    assert set(PARAMETERS) <= set(LABELS)
    assert set(SearchQuery.model_fields) - set(LABELS) == {"device_said", "quality"}


@pytest.mark.parametrize("fields", [{"lvef_min": "50", "lvef_max": "40"}, {"k": "1000"}, {"age_min": "-1"}])
def test_the_form_says_the_label_and_has_a_field_of_that_label_and_the_api_says_the_parameter(start_app, fields):
    with start_app() as running:
        page = html.unescape(running.client.post("/", files={"files": b"1"}, data=fields).text)
        api = running.search(1, **fields).json()["detail"]
    said = re.search(r'role="alert"><p>(.*?)</p>', page)[1]
    assert not re.search("|".join(name for name in PARAMETERS if "_" in name), said)
    for name in fields:
        assert f'"{LABELS[name]}"' in said
        assert re.search(rf'<label for="{name}">{LABELS[name]}', page)
        assert name in api
