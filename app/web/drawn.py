"""How a tracing is drawn: what an address asks of it, and the switches above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlencode

from app.http.problems import InvalidParameter
from outputs.ecg_paper import GAINS_MM_MV, LAYOUTS, SPEEDS_MM_S


@dataclass(frozen=True)
class Drawing:
    """Layout, paper speed and gain as `outputs.ecg_paper` has them."""

    NAMES: ClassVar[tuple[str, ...]] = ("layout", "speed", "gain")

    layout: str = LAYOUTS[0]
    speed_mm_s: float = 25.0
    gain_mm_mv: float = 10.0

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Drawing:
        """Raises InvalidParameter."""
        drawing = cls()
        if "layout" in given:
            drawing = replace(drawing, layout=_one_of(given["layout"], {name: name for name in LAYOUTS}, "layout"))
        if "speed" in given:
            drawing = replace(drawing, speed_mm_s=_one_of(given["speed"], _numbers(SPEEDS_MM_S), "speed"))
        if "gain" in given:
            drawing = replace(drawing, gain_mm_mv=_one_of(given["gain"], _numbers(GAINS_MM_MV), "gain"))
        return drawing

    @property
    def options(self) -> dict[str, Any]:
        """For `ecg_svg`."""
        return {"layout": self.layout, "speed_mm_s": self.speed_mm_s, "gain_mm_mv": self.gain_mm_mv}

    @property
    def asked(self) -> dict[str, str]:
        """As parameters of an address; what is usual is left out."""
        said = {"layout": self.layout, "speed": f"{self.speed_mm_s:g}", "gain": f"{self.gain_mm_mv:g}"}
        usual = {"layout": LAYOUTS[0], "speed": "25", "gain": "10"}
        return {name: value for name, value in said.items() if value != usual[name]}


@dataclass(frozen=True)
class Switch:
    label: str
    href: str
    on: bool


def switches(drawing: Drawing, filled: Mapping[str, str], here: str) -> list[tuple[str, list[Switch]]]:
    """Groups of links to the same answer drawn another way, with a name each."""

    def switch(label: str, other: Drawing) -> Switch:
        asked = {**filled, **other.asked}
        return Switch(label, f"{here}?{urlencode(asked)}" if asked else here, other == drawing)

    pages = [layout for layout in LAYOUTS if "x" in layout]
    return [
        ("Layout", [switch(layout.replace("x", "\u00d7"), replace(drawing, layout=layout)) for layout in pages]),
        ("mm/s", [switch(f"{speed:g}", replace(drawing, speed_mm_s=speed)) for speed in SPEEDS_MM_S]),
        ("mm/mV", [switch(f"{gain:g}", replace(drawing, gain_mm_mv=gain)) for gain in GAINS_MM_MV]),
    ]


def _numbers(allowed: tuple[float, ...]) -> dict[str, float]:
    return {f"{number:g}": number for number in allowed}


def _one_of(given: str, allowed: Mapping[str, Any], name: str) -> Any:
    if given not in allowed:
        raise InvalidParameter("invalid_parameter", f"{name} must be one of {', '.join(allowed)}.")
    return allowed[given]
