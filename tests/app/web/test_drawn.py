"""How a tracing is drawn is part of an address, and what is usual is not said."""

from __future__ import annotations

from itertools import product
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.http.problems import InvalidParameter
from app.web.drawn import Drawing, switches
from outputs.ecg_paper import GAINS_MM_MV, LAYOUTS, SPEEDS_MM_S


def test_every_drawing_comes_back_from_what_it_says_of_itself():
    for drawing in (Drawing(*one) for one in product(LAYOUTS, SPEEDS_MM_S, GAINS_MM_MV)):
        assert Drawing.of(drawing.asked) == drawing
    assert Drawing().asked == {}


@pytest.mark.parametrize(
    "given", [{"speed": "26"}, {"speed": "25.0"}, {"gain": "0"}, {"gain": "nan"}, {"layout": "<b>"}]
)
def test_another_is_refused_by_the_names_of_those_there_are(given):
    (name,) = given
    with pytest.raises(InvalidParameter, match=f"{name} must be one of ") as refused:
        Drawing.of(given)
    assert "<b>" not in refused.value.sentence


def test_a_switch_changes_one_thing_keeps_the_rest_and_shows_which_is_on():
    drawing, filled = Drawing("12x1", 50.0, 20.0), {"lvef_max": "40", "view": "A4C & more"}
    groups = switches(drawing, filled, "/answers/x")
    assert [name for name, _ in groups] == ["Layout", "mm/s", "mm/mV"]
    for _, group in groups:
        assert [switch.on for switch in group].count(True) == 1
        for switch in group:
            asked = dict(parse_qsl(urlsplit(switch.href).query))
            assert {name: asked.pop(name) for name in filled} == filled
            other = Drawing.of(asked)
            changed = [
                one for one in ("layout", "speed_mm_s", "gain_mm_mv") if getattr(other, one) != getattr(drawing, one)
            ]
            assert len(changed) == (0 if switch.on else 1)


def test_the_usual_drawing_has_the_bare_address():
    _, (first, *_) = switches(Drawing(), {}, "/answers/x")[0]
    assert (first.href, first.on) == ("/answers/x", True)
