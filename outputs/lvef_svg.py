"""LVEF on one axis: the model's estimate with its interval, and the LVEF of the most similar studies below it.

Server-made SVG without a style of its own: classes of the page's style sheet colour it.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from outputs.report import LvefPrediction
from outputs.study import Neighbour

_WIDTH, _LEFT, _RIGHT = 560.0, 10.0, 550.0
_LOWEST, _HIGHEST = 10.0, 80.0
"""Percent. What lies outside stands at the edge."""
_DOT, _ROW = 5.0, 12.0


def lvef_svg(lvef: LvefPrediction, neighbours: Sequence[Neighbour], *, narrowed: bool = False) -> str:
    """The chart; without neighbours of known LVEF the estimate alone. Its text alternative is in `title`.

    narrowed: whether the studies were filtered, which chooses what lies beside the estimate.
    """
    known = sorted(each.lvef_percent for each in neighbours if each.lvef_percent is not None)
    dots, height_of_dots = _dots(known)
    axis_y = 44.0 + height_of_dots
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH:g} {axis_y + 34:g}" role="img" font-size="13">',
        f"<title>{escape(_title(lvef, known))}</title>",
        *_axis(axis_y, _edges(lvef)),
        *_estimate(lvef),
        *dots,
    ]
    if known:
        whose = "Most similar studies of those you filtered" if narrowed else "Most similar studies"
        parts.append(f'<text x="{_LEFT:g}" y="{38:g}" font-size="11">{whose}</text>')
    return "".join([*parts, "</svg>"])


def _title(lvef: LvefPrediction, known: Sequence[float]) -> str:
    said = []
    if lvef.estimate is not None:
        said.append(f"The model's estimate of LVEF is {lvef.estimate.percent:.0f} %")
        if lvef.estimate.low is not None and lvef.estimate.high is not None:
            said[-1] += f", interval {lvef.estimate.low:.0f} to {lvef.estimate.high:.0f} %"
    if known:
        said.append(f"the LVEF of {len(known)} similar studies lies between {known[0]:.0f} and {known[-1]:.0f} %")
    return "; ".join(said) or "LVEF"


def _x(percent: float) -> float:
    inside = min(max(percent, _LOWEST), _HIGHEST)
    return round(_LEFT + (_RIGHT - _LEFT) * (inside - _LOWEST) / (_HIGHEST - _LOWEST), 1)


def _edges(lvef: LvefPrediction) -> list[float]:
    """Where classes meet: the numbers that their ranges name, `<=40`, `>40 and <50`."""
    numbers = {number for row in lvef.classes for number in _numbers(row.range)}
    return sorted(numbers)


def _numbers(range_percent: str) -> list[float]:
    words = "".join(letter if letter.isdigit() or letter == "." else " " for letter in range_percent).split()
    return [float(word) for word in words]


def _axis(y: float, edges: Sequence[float]) -> list[str]:
    parts = [f'<line class="axis" x1="{_LEFT:g}" x2="{_RIGHT:g}" y1="{y:g}" y2="{y:g}"/>']
    for percent in range(int(_LOWEST), int(_HIGHEST) + 1, 10):
        parts.append(f'<line class="axis" x1="{_x(percent):g}" x2="{_x(percent):g}" y1="{y:g}" y2="{y + 5:g}"/>')
        parts.append(f'<text x="{_x(percent):g}" y="{y + 20:g}" text-anchor="middle">{percent}</text>')
    for edge in edges:
        parts.append(
            f'<line class="axis" x1="{_x(edge):g}" x2="{_x(edge):g}" y1="4" y2="{y:g}" stroke-dasharray="2 4"/>'
        )
    return parts


def _estimate(lvef: LvefPrediction) -> list[str]:
    said = lvef.estimate
    if said is None:
        return []
    parts = []
    if said.low is not None and said.high is not None:
        parts.append(
            f'<line class="interval" x1="{_x(said.low):g}" x2="{_x(said.high):g}" y1="18" y2="18" stroke-width="6" '
            'stroke-linecap="round" opacity="0.45"/>'
        )
    return [*parts, f'<circle class="estimate" cx="{_x(said.percent):g}" cy="18" r="7"/>']


def _dots(known: Sequence[float]) -> tuple[list[str], float]:
    """A dot for each study, piled up where they would lie over one another; and how high the piles are."""
    piles: dict[int, int] = {}
    at = []
    for percent in known:
        place = round(_x(percent) / (2 * _DOT))
        at.append((_x(percent), piles.get(place, 0)))
        piles[place] = piles.get(place, 0) + 1
    tallest = max(piles.values(), default=0)
    step = min(_ROW, 120.0 / max(tallest, 1))  # a hundred studies alike stay a chart and not a page
    bottom = 44.0 + tallest * step - step / 2
    dots = [
        f'<circle class="neighbour" cx="{x:g}" cy="{bottom - level * step:.1f}" r="{_DOT:g}" stroke-width="1.5"/>'
        for x, level in at
    ]
    return dots, tallest * step
