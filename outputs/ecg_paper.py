"""Where everything lies on ECG paper, in millimetres: one geometry for the SVG and the PDF, true to scale.

Letters in array names: N samples, P points of a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from inputs.records import STANDARD_LEADS
from outputs.tracing import DRAWN_S, Tracing, extremes
from outputs.words import lead_words

Layout = Literal["3x4+rhythm", "6x2", "12x1", "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
"""A page of all leads, or one lead alone."""
LAYOUTS: tuple[str, ...] = get_args(Layout)
SPEEDS_MM_S = (12.5, 25.0, 50.0)
GAINS_MM_MV = (5.0, 10.0, 20.0)

UNIT_MM = 0.05
"""Lines are drawn in whole such units: a sample of 500 Hz at 25 mm/s, 5 uV at 10 mm/mV."""
STROKE_MM = 0.25
_COARSER: tuple[tuple[float, float], ...] = (
    (0.05, 1.0), (0.05, 2.0), (0.05, 3.0), (0.05, 4.0), (0.2, 2.0), (0.4, 2.0), (0.6, 2.0),
)  # fmt: skip
"""How a strip is drawn, the next way only where its line would grow too long. First the width of columns in millimetres:
where one holds several samples, the least and the greatest are drawn; the first is a fifth of a stroke's width. Then, in
units, how near the line between two others a point lies that is left out: never farther than the stroke is wide."""
_LETTERS_PER_MM = ((1, 100.0), (6, 36.0), (12, 27.0))
"""How long the path of a strip may grow by its width, on pages of at most so many rows: 90 kB are a page's end."""
_LONGEST_PIECE = 6
"""Straight pieces of at most 2 to the power of this many samples."""

EDGE_MM = 5
CALIBRATION_S, CALIBRATION_MV = 0.2, 1.0
_ROW_MM = (10, 30)
"""Least and most above and below the baselines of a row."""
_LINE_MM = 4.2
_LABEL_MM = (1.0, 3.4)
"""The name of a lead from the left and from the top of its strip."""
LETTER_MM = 3.0
WORD_MM = 2.6
"""Of the names of leads and captions, and of what is wrong with a lead."""
_RHYTHM = "II"
_MOST_WORDS, _MOST_WHY = 2, 160


@dataclass(frozen=True, eq=False)
class Strip:
    """A lead on the page. lines: (P, 2) int32 each, in UNIT_MM right of x0_mm and below baseline_mm.

    baseline_mv: the median of the lead in this strip, which lies at baseline_mm; 0 where it has no sample.
    doubt: what is wrong with it, in two or three words; why: in sentences. Empty where nothing is.
    """

    lead: str
    row: int
    x0_mm: float
    baseline_mm: float
    width_mm: float
    start_s: float
    length_s: float
    baseline_mv: float
    lines: tuple[NDArray[np.int32], ...]
    derived: bool
    doubt: str
    why: str


@dataclass(frozen=True)
class Box:
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float


@dataclass(frozen=True, eq=False)
class Paper:
    """A page with its strips; y grows downwards. grid: the part with a grid, whose corner the page is.

    rows: top and bottom of each row. calibrations: corners of each row's pulse of 1 mV and 200 ms.
    separators: between the columns. seen: what the model saw, none where it saw all. captions: beneath the grid.
    """

    width_mm: float
    height_mm: float
    grid: Box
    speed_mm_s: float
    gain_mm_mv: float
    strips: tuple[Strip, ...]
    rows: tuple[Box, ...]
    calibrations: tuple[tuple[tuple[float, float], ...], ...]
    separators: tuple[Box, ...]
    seen: tuple[Box, ...]
    captions: tuple[tuple[float, str], ...]

    def label_of(self, strip: Strip) -> Box:
        """Where the name of a strip's lead stands: its box begins with the name and ends at its line of writing."""
        wide_mm = sum(1.0 if letter == "I" else 2.2 for letter in strip.lead)
        right_mm, down_mm = _LABEL_MM
        return Box(strip.x0_mm + right_mm, self.rows[strip.row].y_mm + down_mm - LETTER_MM, wide_mm, LETTER_MM)


def ecg_paper(
    tracing: Tracing,
    layout: str = "3x4+rhythm",
    speed_mm_s: float = 25.0,
    gain_mm_mv: float = 10.0,
    *,
    most_mm: float = math.inf,
) -> Paper:
    """Lay a tracing out. most_mm: how high the grid may be, as far as rows of 15 mm allow.

    Columns follow one another in time where the tracing lasts through all of them, else they overlap.
    """
    if layout not in LAYOUTS or speed_mm_s not in SPEEDS_MM_S or gain_mm_mv not in GAINS_MM_MV:
        raise ValueError("no such layout, speed or gain")
    rows, column_s = _arranged(layout)
    before_mm = _before_strips_mm(speed_mm_s)
    drawn = [
        [_drawn(tracing, lead, _column_start_s(tracing, c, column_s, row), row_s, speed_mm_s, gain_mm_mv)
         for c, lead in enumerate(row)]
        for row, row_s in zip(rows, _lengths_s(rows, column_s), strict=True)
    ]  # fmt: skip
    heights = _heights_mm([_reach_mm(row) for row in drawn], gain_mm_mv, most_mm)
    strips, boxes, calibrations, top_mm = [], [], [], float(EDGE_MM)
    full_mm = DRAWN_S * speed_mm_s
    letters = next(most for of_rows, most in _LETTERS_PER_MM if len(rows) <= of_rows)
    for number, (row, (up_mm, down_mm)) in enumerate(zip(drawn, heights, strict=True)):
        baseline_mm = top_mm + up_mm
        boxes.append(Box(EDGE_MM, top_mm, before_mm - EDGE_MM + full_mm, up_mm + down_mm))
        calibrations.append(_pulse(before_mm, baseline_mm, speed_mm_s, gain_mm_mv))
        strips += [
            _placed(one, number, before_mm + c * one.length_s * speed_mm_s, baseline_mm, (up_mm, down_mm), letters)
            for c, one in enumerate(row)
        ]
        top_mm += up_mm + down_mm
    grid = Box(0.0, 0.0, before_mm + full_mm + EDGE_MM, top_mm + EDGE_MM)
    seen = () if tracing.seen_whole else tuple(_seen(tracing, strips, boxes, speed_mm_s))
    lines = _captions(tracing, speed_mm_s, gain_mm_mv, bool(seen))
    first_mm = grid.height_mm + _LINE_MM
    captions = tuple((first_mm + _LINE_MM * n, line) for n, line in enumerate(lines))
    return Paper(
        width_mm=grid.width_mm,
        height_mm=captions[-1][0] + 2.0,
        grid=grid,
        speed_mm_s=speed_mm_s,
        gain_mm_mv=gain_mm_mv,
        strips=tuple(strips),
        rows=tuple(boxes),
        calibrations=tuple(calibrations),
        separators=tuple(_separators(strips, boxes)),
        seen=seen,
        captions=captions,
    )


def _arranged(layout: str) -> tuple[list[tuple[str, ...]], float]:
    """The leads of each row, and how long a column lasts."""
    leads = STANDARD_LEADS
    if layout == "3x4+rhythm":
        return [*(leads[row::3] for row in range(3)), (_RHYTHM,)], DRAWN_S / 4
    if layout == "6x2":
        return [leads[row::6] for row in range(6)], DRAWN_S / 2
    return [(lead,) for lead in (leads if layout == "12x1" else (layout,))], DRAWN_S


def _lengths_s(rows: Sequence[tuple[str, ...]], column_s: float) -> list[float]:
    return [column_s if len(row) > 1 else DRAWN_S for row in rows]


def _column_start_s(tracing: Tracing, column: int, column_s: float, row: tuple[str, ...]) -> float:
    """From the start of the tracing."""
    if len(row) == 1:
        return 0.0
    latest_s = max(0.0, tracing.drawn_s - column_s)
    return column * column_s if tracing.drawn_s > DRAWN_S - 0.5 else min(column * column_s, latest_s)


def _before_strips_mm(speed_mm_s: float) -> float:
    """What the calibration needs before the strips, in whole large squares."""
    return EDGE_MM + 5.0 * math.ceil((CALIBRATION_S * speed_mm_s + 3.0) / 5.0)


def _pulse(
    before_mm: float, baseline_mm: float, speed_mm_s: float, gain_mm_mv: float
) -> tuple[tuple[float, float], ...]:
    """1 mV for 200 ms, ending a millimetre and a half before the strips."""
    wide_mm, high_mm = CALIBRATION_S * speed_mm_s, CALIBRATION_MV * gain_mm_mv
    last_mm = before_mm - 1.5
    first_mm = last_mm - wide_mm
    steps = [(first_mm - 1.0, 0.0), (first_mm, 0.0), (first_mm, high_mm), (last_mm, high_mm), (last_mm, 0.0)]
    steps.append((last_mm + 1.0, 0.0))
    return tuple((x_mm, baseline_mm - up_mm) for x_mm, up_mm in steps)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A strip before it has a place. up_mm_N: above its baseline, NaN where nothing is."""

    tracing: Tracing
    lead: str
    start_s: float
    length_s: float
    baseline_mv: float
    up_mm_N: NDArray[np.float32]
    mm_per_sample: float


def _drawn(
    tracing: Tracing, lead: str, start_s: float, length_s: float, speed_mm_s: float, gain_mm_mv: float
) -> _Drawn:
    first = round(start_s * tracing.rate_hz)
    samples = round(length_s * tracing.rate_hz) + 1  # the last one is the next column's first: no gap between them
    signal_mv_N = tracing.signal_mv_LN[STANDARD_LEADS.index(lead), first : first + samples]
    known_mv_N = signal_mv_N[np.isfinite(signal_mv_N)]
    baseline_mv = float(np.median(known_mv_N)) if len(known_mv_N) else 0.0
    up_mm_N = (signal_mv_N - np.float32(baseline_mv)) * np.float32(gain_mm_mv)
    return _Drawn(tracing, lead, start_s, length_s, baseline_mv, up_mm_N, speed_mm_s / tracing.rate_hz)


def _reach_mm(row: Sequence[_Drawn]) -> tuple[float, float]:
    """How far a row's strips go up and down."""
    ups = [float(np.nanmax(one.up_mm_N)) for one in row if np.isfinite(one.up_mm_N).any()]
    downs = [-float(np.nanmin(one.up_mm_N)) for one in row if np.isfinite(one.up_mm_N).any()]
    return max(ups, default=0.0), max(downs, default=0.0)


def _heights_mm(reaches: Sequence[tuple[float, float]], gain_mm_mv: float, most_mm: float) -> list[tuple[float, float]]:
    """Above and below each row's baseline, in large squares: what its strips need, unless that is too much."""
    least_mm, highest_mm = _ROW_MM
    up_least_mm = max(least_mm, 5 * math.ceil(CALIBRATION_MV * gain_mm_mv / 5))

    def wanted(reach_mm: float, least_mm: int, highest_mm: int) -> int:
        return int(min(max(5 * math.ceil((min(reach_mm, 1e3) + 0.5) / 5), least_mm), max(highest_mm, least_mm)))

    while True:
        heights = [
            (wanted(up, up_least_mm, highest_mm), wanted(down, least_mm // 2, highest_mm)) for up, down in reaches
        ]
        if sum(up + down for up, down in heights) + 2 * EDGE_MM <= most_mm or highest_mm <= least_mm:
            return [(float(up), float(down)) for up, down in heights]
        highest_mm -= 5


def _placed(
    one: _Drawn, row: int, x0_mm: float, baseline_mm: float, height_mm: tuple[float, float], letters_per_mm: float
) -> Strip:
    tracing, lead = one.tracing, one.lead
    found = tracing.found_of(lead)
    codes = {warning.code: warning for warning in found}
    if "leads_in_turn" in codes:
        codes.pop("samples_missing", None)  # that says it
    doubts = list(dict.fromkeys(lead_words(code) for code in codes))
    sentences = list(dict.fromkeys(warning.message for warning in found))
    if lead in tracing.missing:
        doubts, sentences = ["not recorded"], [f"Lead {lead} was not recorded."]
    if lead in tracing.derived:
        doubts = [f"computed from {tracing.pair[0]}, {tracing.pair[1]}", *doubts]
        sentences = [f"Lead {lead} was computed from leads {tracing.pair[0]} and {tracing.pair[1]}.", *sentences]
    more = ", ..." if len(doubts) > _MOST_WORDS else ""
    why = " ".join(sentences)
    return Strip(
        lead=lead,
        row=row,
        x0_mm=x0_mm,
        baseline_mm=baseline_mm,
        width_mm=(len(one.up_mm_N) - 1) * one.mm_per_sample,
        start_s=tracing.start_s + one.start_s,
        length_s=one.length_s,
        baseline_mv=one.baseline_mv,
        lines=tuple(_lines(one, height_mm, letters_per_mm)),
        derived=lead in tracing.derived,
        doubt=", ".join(doubts[:_MOST_WORDS]) + more,
        why=why if len(why) <= _MOST_WHY else f"{why[:_MOST_WHY]} ...",
    )


def _lines(one: _Drawn, height_mm: tuple[float, float], letters_per_mm: float) -> list[NDArray[np.int32]]:
    """The strip's lines, as coarse as they must be to stay short."""
    up_mm, down_mm = height_mm
    beyond_mm = 2.0  # outside its row, where the clipping hides it
    bounded_N = np.clip(one.up_mm_N, np.float32(-down_mm - beyond_mm), np.float32(up_mm + beyond_mm))
    every_N = bounded_N * np.float32(-1.0 / UNIT_MM)
    most = letters_per_mm * len(every_N) * one.mm_per_sample
    lines: list[NDArray[np.int32]] = []
    hopeless_mm = 0.0
    for cell_mm, near in _COARSER:
        if cell_mm <= hopeless_mm:
            continue
        step = int(cell_mm / one.mm_per_sample + 1e-6)
        y_N = extremes(every_N[None], step)[0] if step > 2 else every_N
        across = (step / 2.0 if step > 2 else 1.0) * one.mm_per_sample / UNIT_MM
        lines = _polylines(y_N, across, near)
        letters = sum(map(_letters, lines))
        if letters <= most:
            break
        hopeless_mm = cell_mm if letters > 3 * most else 0.0  # noise, which no straight line is near to
    return lines


def _polylines(y_N: NDArray[np.float32], across: float, near: float) -> list[NDArray[np.int32]]:
    """(P, 2) for each stretch of samples that are there, `across` units apart; without those on a straight piece.

    Pieces are halved until they are straight. The samples within one are no farther from its chord than its middle is,
    and they from the chords of its halves.
    """
    keep_N = np.isfinite(y_N)
    present_N = keep_N.copy()
    off_C = np.zeros(len(y_N) - 1, np.float32)
    for power in range(1, _LONGEST_PIECE + 1):
        length = 2**power
        pieces = (len(y_N) - 1) // length
        if not pieces:
            break
        ends_C = y_N[: pieces * length + 1 : length]
        middle_C = y_N[length // 2 : pieces * length : length]
        of_halves_C = np.maximum(off_C[: 2 * pieces : 2], off_C[1 : 2 * pieces : 2])
        off_C = np.abs(middle_C - (ends_C[:-1] + ends_C[1:]) * np.float32(0.5)) + of_halves_C
        keep_N[: pieces * length].reshape(pieces, length)[off_C <= near, 1:] = False
    places_P = np.flatnonzero(keep_N)
    points_P2 = np.rint(np.stack([places_P * across, y_N[places_P]], axis=1)).astype(np.int32)
    if present_N.all():
        return [points_P2]
    firsts = np.flatnonzero(np.diff(present_N.astype(np.int8), prepend=0) > 0)
    return np.split(points_P2, np.searchsorted(places_P, firsts[1:])) if len(firsts) else []


def _letters(line_P2: NDArray[np.int32]) -> int:
    """Of a relative path: a digit or more for each number, and a blank or a sign before it."""
    steps = np.abs(np.diff(line_P2, axis=0))
    return int(2 * steps.size + sum(np.count_nonzero(steps >= ten) for ten in (10, 100, 1000))) + 12


def _separators(strips: Sequence[Strip], boxes: Sequence[Box]) -> list[Box]:
    """A thin line before every strip that is not the first of its row."""
    firsts = {row: min(one.x0_mm for one in strips if one.row == row) for row in range(len(boxes))}
    return [
        Box(one.x0_mm, boxes[one.row].y_mm + 1.0, 0.0, boxes[one.row].height_mm - 2.0)
        for one in strips
        if one.x0_mm > firsts[one.row]
    ]


def _seen(tracing: Tracing, strips: Sequence[Strip], boxes: Sequence[Box], speed_mm_s: float) -> list[Box]:
    found = []
    for strip in strips:
        box, end_s = boxes[strip.row], strip.start_s + min(strip.length_s, strip.width_mm / speed_mm_s)
        for start_s, length_s in tracing.windows_s:
            first_s, last_s = max(strip.start_s, start_s), min(end_s, start_s + length_s)
            if last_s - first_s > 1.0 / tracing.rate_hz:
                x_mm = strip.x0_mm + (first_s - strip.start_s) * speed_mm_s
                found.append(Box(x_mm, box.y_mm, (last_s - first_s) * speed_mm_s, box.height_mm))
    return found


def _captions(tracing: Tracing, speed_mm_s: float, gain_mm_mv: float, shaded: bool) -> list[str]:
    scale = f"{speed_mm_s:g} mm/s, {gain_mm_mv:g} mm/mV."
    if shaded:
        windows = ", ".join(f"{start_s:.1f} to {start_s + length_s:.1f} s" for start_s, length_s in tracing.windows_s)
        scale += f" Shaded: what the model saw ({windows})."
    return [scale, *([" ".join(tracing.caption)] if tracing.caption else [])]
