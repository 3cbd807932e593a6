"""An ECG as SVG, true to scale: a picture in a page, and a file of its own.

Colours and strokes are presentation attributes, which a strict content security policy lets through and any style sheet
overrides by class: `ecg`, `ecg-paper`, `ecg-fine`, `ecg-bold` (grid), `ecg-seen`, `ecg-raises`, `ecg-lowers`,
`ecg-trace`, `ecg-doubt`, `ecg-derived`, `ecg-frame`, `ecg-calibration`, `ecg-separator`, `ecg-label`, `ecg-word`,
`ecg-caption`. The ink is `currentColor`, so that the drawing is light on a dark page. No script, no reference to
elsewhere, no identity.

For a caliper the root has `data-mm-per-s` and `data-mm-per-mv`, and every `g.ecg-strip` `data-lead`, `data-x0` and
`data-baseline` (millimetres, as the viewBox), `data-start-s`, `data-length-s` and `data-baseline-mv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from ground.letters import made_visible
from outputs.ecg_paper import EDGE_MM, LETTER_MM, STROKE_MM, UNIT_MM, WORD_MM, Box, Paper, Strip, ecg_paper
from outputs.patches import PatchWeight
from outputs.tracing import Tracing

Grid = Literal["pink", "neutral"]
_GRID = {"pink": "#d9576f", "neutral": "#7d8794"}
_SEEN, _DOUBT = "#3b82c4", "#b45309"
_RAISES, _LOWERS = "#e8850c", "#2f6fd0"
"""Orange and blue, which colour blindness does not confuse."""
_LEAST_WEIGHT = 0.05
_FONT = 'font-family="Helvetica, Arial, sans-serif"'
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def ecg_svg(
    tracing: Tracing,
    layout: str = "3x4+rhythm",
    speed_mm_s: float = 25.0,
    gain_mm_mv: float = 10.0,
    *,
    grid: Grid = "pink",
    name: str = "ecg",
    whole_file: bool = False,
    weights: Sequence[PatchWeight] = (),
) -> str:
    """Draw `tracing`; layout, speed and gain as `outputs.ecg_paper` has them, others are a ValueError.

    name: what ids in it begin with, one for each drawing of a page. whole_file: with a white sheet beneath and black
    ink, for whoever opens it alone; else it stands on whatever page it is put in. weights: what patches add to an
    answer, behind the trace instead of what the model saw.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError("a name is of small letters, digits and hyphens")
    paper = ecg_paper(tracing, layout, speed_mm_s, gain_mm_mv)
    return "".join(_drawing(paper, layout, _GRID[grid], name, weights, whole_file=whole_file))


def _drawing(
    paper: Paper, layout: str, grid: str, name: str, weights: Sequence[PatchWeight], *, whole_file: bool
) -> Iterator[str]:
    width, height = _mm(paper.width_mm), _mm(paper.height_mm)
    speed, gain = f"{paper.speed_mm_s:g}", f"{paper.gain_mm_mv:g}"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ecg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label={_quoted(_spoken(paper, layout))} fill="currentColor" '
        f'{_FONT} font-size="{LETTER_MM:g}" data-mm-per-s="{speed}" data-mm-per-mv="{gain}"'
        f"{' color=' + _quoted('#000') if whole_file else ''}>"
    )
    yield from _definitions(paper, grid, name)
    if whole_file:
        yield f'<rect class="ecg-paper" width="{width}" height="{height}" fill="#fff"/>'
    yield f'<rect class="ecg-grid" {_box(paper.grid)} fill="url(#{name}-mm)"/>'
    for box in () if weights else paper.seen:
        yield f'<rect class="ecg-seen" {_box(box)} fill="{_SEEN}" fill-opacity=".13"/>'
    for strip in paper.strips:
        yield from _weighed(strip, [weight for weight in weights if weight.lead == strip.lead], paper.speed_mm_s)
    yield f'<g fill="none" stroke="currentColor" stroke-width="{STROKE_MM}" stroke-linejoin="round">'
    for box in paper.separators:
        line = f"M{_mm(box.x_mm)} {_mm(box.y_mm)}v{_mm(box.height_mm)}"
        yield f'<path class="ecg-separator" stroke-width=".15" stroke-opacity=".6" d="{line}"/>'
    for corners in paper.calibrations:
        line = "L".join(f"{_mm(x_mm)} {_mm(y_mm)}" for x_mm, y_mm in corners)
        yield f'<path class="ecg-calibration" d="M{line}"/>'
    for number, strip in enumerate(paper.strips):
        yield from _strip(strip, f"{name}-{number}")
    yield "</g>"
    for strip in paper.strips:
        yield from _label(strip)
    for y_mm, line in paper.captions:
        yield f'<text class="ecg-caption" x="{_mm(EDGE_MM)}" y="{_mm(y_mm)}">{_text(line)}</text>'
    yield "</svg>"


def _weighed(strip: Strip, weights: Sequence[PatchWeight], speed_mm_s: float) -> Iterator[str]:
    """Behind the trace, the darker the more; what hardly counts is left out. Beneath the strip, what lowers."""
    end_s = strip.start_s + strip.box.width_mm / speed_mm_s
    for patch in weights:
        first_s, last_s = max(strip.start_s, patch.start_s), min(end_s, patch.start_s + patch.length_s)
        if abs(patch.weight) < _LEAST_WEIGHT or last_s <= first_s:
            continue
        x_mm, width_mm = strip.x0_mm + (first_s - strip.start_s) * speed_mm_s, (last_s - first_s) * speed_mm_s
        box = Box(x_mm, strip.box.y_mm, width_mm, strip.box.height_mm)
        kind, colour = ("raises", _RAISES) if patch.weight > 0 else ("lowers", _LOWERS)
        yield f'<rect class="ecg-{kind}" {_box(box)} fill="{colour}" fill-opacity="{0.75 * abs(patch.weight):.2f}"/>'


def _definitions(paper: Paper, grid: str, name: str) -> Iterator[str]:
    """The grid as one large square that repeats, its thick lines in the middle so that none is cut, and the strips."""
    fine = "M.5 0v5m1-5v5m2-5v5m1-5v5M0 .5h5m-5 1h5m-5 2h5m-5 1h5"
    yield (
        f'<defs><pattern id="{name}-mm" x="2.5" y="2.5" width="5" height="5" patternUnits="userSpaceOnUse">'
        f'<g fill="none" stroke="{grid}"><path class="ecg-fine" stroke-width=".1" stroke-opacity=".4" d="{fine}"/>'
        f'<path class="ecg-bold" stroke-width=".2" stroke-opacity=".6" d="M2.5 0v5M0 2.5h5"/></g></pattern>'
    )
    for number, strip in enumerate(paper.strips):
        yield f'<clipPath id="{name}-{number}"><rect {_box(strip.box)}/></clipPath>'
    yield "</defs>"


def _strip(strip: Strip, clip: str) -> Iterator[str]:
    yield (
        f'<g class="ecg-strip" clip-path="url(#{clip})" data-lead="{strip.lead}" '
        f'data-x0="{_mm(strip.x0_mm)}" data-baseline="{_mm(strip.baseline_mm)}" data-start-s="{strip.start_s:g}" '
        f'data-length-s="{strip.length_s:g}" data-baseline-mv="{strip.baseline_mv:.4g}">'
    )
    if strip.lines:
        unlike, width_mm = "", STROKE_MM
        if strip.derived:
            unlike, width_mm = " ecg-derived", 0.75 * STROKE_MM
        elif strip.doubt:
            unlike = f' ecg-doubt" stroke="{_DOUBT}'
        yield (
            f'<path class="ecg-trace{unlike}" stroke-width="{width_mm / UNIT_MM:g}" '
            f'transform="translate({_mm(strip.x0_mm)} {_mm(strip.baseline_mm)}) scale({UNIT_MM})" '
            f'd="{"".join(map(path_of, strip.lines))}"/>'
        )
    yield "</g>"


def path_of(line_P2: NDArray[np.int32]) -> str:
    """A line as path data: from its first point in steps, as few letters as possible."""
    first = " ".join(map(str, line_P2[0].tolist()))
    if len(line_P2) == 1:
        return f"M{first}h1"
    steps = " ".join(map(str, np.diff(line_P2, axis=0).ravel().tolist()))
    return f"M{first}l{steps}".replace(" -", "-")


def _label(strip: Strip) -> Iterator[str]:
    """The name of a lead; where something is to be said of it in a dashed frame, with what it is beside it."""
    box = strip.label
    at = f'x="{_mm(box.x_mm)}" y="{_mm(box.bottom_mm)}"'
    if not strip.doubt:
        yield f'<text class="ecg-label" {at} font-weight="bold">{strip.lead}</text>'
        return
    frame = Box(box.x_mm - 0.7, box.y_mm - 0.1, box.width_mm + 1.4, box.height_mm + 1.0)
    slanted = ' font-style="italic"' if strip.derived else ""
    yield (
        f"<g><title>{_text(strip.why)}</title>"
        f'<rect class="ecg-frame" {_box(frame)} rx=".6" fill="none" stroke="currentColor" stroke-width=".2" '
        f'stroke-dasharray=".8 .6"/><text class="ecg-label" {at} font-weight="bold"{slanted}>{strip.lead}</text>'
        f'<text class="ecg-word" x="{_mm(frame.x_mm + frame.width_mm + 0.7)}" y="{_mm(box.bottom_mm)}" '
        f'font-size="{WORD_MM}">{_text(strip.doubt)}</text></g>'
    )


def _spoken(paper: Paper, layout: str) -> str:
    """What a screen reader says instead of the drawing."""
    flagged = {strip.lead: strip.doubt for strip in paper.strips if strip.doubt}
    said = f"ECG, {layout}, {paper.speed_mm_s:g} mm/s, {paper.gain_mm_mv:g} mm/mV."
    return " ".join([said, *(f"{lead}: {doubt}." for lead, doubt in flagged.items())])


def _box(box: Box) -> str:
    return f'x="{_mm(box.x_mm)}" y="{_mm(box.y_mm)}" width="{_mm(box.width_mm)}" height="{_mm(box.height_mm)}"'


def _mm(length_mm: float) -> str:
    return f"{length_mm:.3f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return escape(made_visible(text))


def _quoted(text: str) -> str:
    return quoteattr(made_visible(text))
