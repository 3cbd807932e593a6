"""The model's LVEF and that of its neighbours on one axis."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from outputs.lvef_svg import lvef_svg
from outputs.report import LvefPrediction, Neighbour

CLASSES = [
    {"label": "reduced", "range": "<= 40 %", "probability": 0.7},
    {"label": "<b>&", "range": "> 40 % and < 50 %", "probability": 0.2},
    {"label": "preserved", "range": ">= 50 %", "probability": 0.1},
]


def drawn(percents, **estimate):
    said = {"classes": CLASSES, "predicted": "reduced"} | ({"estimate": estimate} if estimate else {})
    row = {"acquired_at": None, "age": None, "sex": None, "shd": None, "similarity": 0.1, "n_views": 0, "views": []}
    hits = [
        Neighbour.model_validate(row | {"study_id": f"s{rank}", "rank": rank, "lvef_percent": percent})
        for rank, percent in enumerate(percents, 1)
    ]
    return ET.fromstring(lvef_svg(LvefPrediction.model_validate(said), hits))


def circles(chart, kind):
    return [circle for circle in chart.iter("circle") if circle.get("class") == kind]


def place(percent):
    """Where the axis has its number."""
    (text,) = [one for one in drawn([]).iter("text") if one.text == str(percent)]
    return float(text.get("x"))


def test_everything_stands_over_its_number_of_the_axis():
    chart = drawn([30.0, 60.0, None], percent=50.0, low=40.0, high=60.0)
    assert float(circles(chart, "estimate")[0].get("cx")) == pytest.approx(place(50), abs=0.1)
    assert [float(dot.get("cx")) for dot in circles(chart, "neighbour")] == pytest.approx(
        [place(30), place(60)], abs=0.1
    )
    (interval,) = [line for line in chart.iter("line") if line.get("class") == "interval"]
    assert [float(interval.get(end)) for end in ("x1", "x2")] == pytest.approx([place(40), place(60)], abs=0.1)


def test_its_text_says_the_same():
    title = drawn([30.0, 60.0], percent=50.0, low=40.0, high=60.0).find("title").text
    assert title == (
        "The model's estimate of LVEF is 50 %, interval 40 to 60 %; "
        "the LVEF of 2 similar studies lies between 30 and 60 %"
    )
    assert drawn([None]).find("title").text == "LVEF"


def test_equal_studies_are_piled_up_and_a_hundred_of_them_stay_a_chart():
    for count in (3, 100):
        chart = drawn([55.0] * count)
        heights = [float(dot.get("cy")) for dot in circles(chart, "neighbour")]
        assert len(set(heights)) == count
        _, _, width, height = map(float, chart.get("viewBox").split())
        assert 0 < min(heights) < max(heights) < height < width / 2


def test_what_lies_beyond_the_axis_stands_at_its_edge():
    dots = circles(drawn([2.0, 95.0]), "neighbour")
    assert [float(dot.get("cx")) for dot in dots] == pytest.approx([place(10), place(80)], abs=0.1)


def test_it_has_no_style_of_its_own():
    assert not [element for element in drawn([50.0], percent=50.0).iter() if "style" in element.attrib]
