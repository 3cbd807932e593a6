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
    (0.05, 1.0), (0.05, 2.0), (0.05, 3.0), (0.05, 4.0), (0.2, 2.0), (0.4, 2.0), (0.6, 2.0), (1.0, 2.0),
)  # fmt: skip
"""How a strip is drawn, the next way only where its line would grow too long. First the width of columns, in
millimetres, of each of which the least and the greatest sample are drawn where it holds several; the first width is a
fifth of a stroke's. Then, in units, how near a line a point lies that is left out: never farther than a stroke's width.
"""
_LETTERS_PER_MM = ((1, 100.0), (6, 31.0), (12, 27.0))
"""How long the path of a strip may grow by its width, on pages of at most so many rows: 90 kB are a page's end."""
_LONGEST_PIECE = 6
"""Straight pieces of at most 2 to the power of this many samples."""

EDGE_MM = 5
CALIBRATION_S, CALIBRATION_MV = 0.2, 1.0
_UP_MM, _DOWN_MM, _HIGHEST_MM = 8.0, 4.0, 30.0
"""A strip's height above and below its baseline, at least: room for its name; and at most, at 10 mm/mV or less."""
_NAME_MM = 10.0
"""Over so much of a strip its name stands, and above it."""
_CLOSEST_MM = 15.0
"""From baseline to baseline."""
_LINE_MM = 4.2
_LABEL_MM = (1.0, 3.4)
"""The name of a lead from the left and from the top of its strip."""
LETTER_MM = 3.0
WORD_MM = 2.6
_LETTER_WIDE_MM = 1.55
"""Of the names of leads and captions, and of what is wrong with a lead."""
_RHYTHM = "II"
_MOST_WORDS, _MOST_WHY = 2, 140


@dataclass(frozen=True)
class Box:
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float

    @property
    def bottom_mm(self) -> float:
        return self.y_mm + self.height_mm


@dataclass(frozen=True, eq=False)
class Strip:
    """A lead on the page, clipped to `box`. lines: (P, 2) int32 each, in UNIT_MM right of x0_mm and below baseline_mm.

    baseline_mv: the median of the lead in this strip, which lies at baseline_mm; 0 where it has no sample.
    doubt: what is wrong with it, in two or three words; why: in sentences. Empty where nothing is.
    """

    lead: str
    x0_mm: float
    baseline_mm: float
    box: Box
    start_s: float
    length_s: float
    baseline_mv: float
    lines: tuple[NDArray[np.int32], ...]
    derived: bool
    doubt: str
    why: str

    @property
    def label(self) -> Box:
        """Where the name of the lead stands: it begins at the left, and its line of writing is the bottom."""
        wide_mm = sum(1.0 if letter == "I" else 2.2 for letter in self.lead)
        right_mm, down_mm = _LABEL_MM
        return Box(self.x0_mm + right_mm, self.box.y_mm + down_mm - LETTER_MM, wide_mm, LETTER_MM)


@dataclass(frozen=True, eq=False)
class Paper:
    """A page with its strips; y grows downwards. grid: the part with a grid, whose corner the page is.

    calibrations: corners of each row's pulse of 1 mV and 200 ms.
    separators: between the columns. seen: what the model saw, none where it saw all. captions: beneath the grid.
    clipped: leads that leave their rows.
    """

    width_mm: float
    height_mm: float
    grid: Box
    speed_mm_s: float
    gain_mm_mv: float
    strips: tuple[Strip, ...]
    calibrations: tuple[tuple[tuple[float, float], ...], ...]
    separators: tuple[Box, ...]
    seen: tuple[Box, ...]
    captions: tuple[tuple[float, str], ...]
    clipped: tuple[str, ...]


def ecg_paper(
    tracing: Tracing,
    layout: str = "3x4+rhythm",
    speed_mm_s: float = 25.0,
    gain_mm_mv: float = 10.0,
    *,
    most_mm: float = math.inf,
) -> Paper:
    """Lay a tracing out. most_mm: how high the grid may be, as far as rows of 15 mm allow.

    Columns follow one another in time where the tracing lasts through all of them, else they overlap. Rows are as far
    apart as their strips need; what reaches farther than 3 mV, or is too high for `most_mm`, is clipped.
    """
    if layout not in LAYOUTS or speed_mm_s not in SPEEDS_MM_S or gain_mm_mv not in GAINS_MM_MV:
        raise ValueError("no such layout, speed or gain")
    rows, column_s = _arranged(layout)
    before_mm, letters = _before_strips_mm(speed_mm_s), next(most for n, most in _LETTERS_PER_MM if len(rows) <= n)
    drawn = [
        [
            _drawn(tracing, lead, 0.0 if len(row) == 1 else _column_start_s(tracing, column, column_s), row_s, scale)
            for column, lead in enumerate(row)
        ]
        for row, row_s in zip(rows, _lengths_s(rows, column_s), strict=True)
        for scale in [(speed_mm_s, gain_mm_mv)]
    ]
    baselines_mm, bottom_mm, highest_mm = _baselines_mm(drawn, gain_mm_mv, most_mm)
    placed = [
        [
            _placed(one, before_mm + c * one.length_s * speed_mm_s, at_mm, highest_mm, letters)
            for c, one in enumerate(row)
        ]
        for row, at_mm in zip(drawn, baselines_mm, strict=True)
    ]
    grid = Box(0.0, 0.0, before_mm + DRAWN_S * speed_mm_s + EDGE_MM, bottom_mm)
    seen = () if tracing.seen_whole else tuple(_seen(tracing, placed, speed_mm_s))
    every = (one for row in drawn for one in row)
    clipped = tuple(dict.fromkeys(one.lead for one in every if max(one.reach_mm(math.inf)) > highest_mm))
    lines = _captions(tracing, f"{speed_mm_s:g} mm/s, {gain_mm_mv:g} mm/mV.", clipped, bool(seen), grid.width_mm)
    captions = tuple((bottom_mm + _LINE_MM * n, line) for n, line in enumerate(lines, start=1))
    return Paper(
        width_mm=grid.width_mm,
        height_mm=captions[-1][0] + 2.0,
        grid=grid,
        speed_mm_s=speed_mm_s,
        gain_mm_mv=gain_mm_mv,
        strips=tuple(strip for row in placed for strip in row),
        calibrations=tuple(_pulse(before_mm, at_mm, speed_mm_s, gain_mm_mv) for at_mm in baselines_mm),
        separators=tuple(
            Box(strip.x0_mm, strip.box.y_mm, 0.0, strip.box.height_mm) for row in placed for strip in row[1:]
        ),
        seen=seen,
        captions=captions,
        clipped=clipped,
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


def _column_start_s(tracing: Tracing, column: int, column_s: float) -> float:
    """From the start of the tracing."""
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

    @property
    def width_mm(self) -> float:
        return max(0, len(self.up_mm_N) - 1) * self.mm_per_sample

    def reach_mm(self, highest_mm: float) -> tuple[float, float]:
        """What it needs above and below its baseline."""
        if not np.isfinite(self.up_mm_N).any():
            return _UP_MM, _DOWN_MM
        up_mm, down_mm = float(np.nanmax(self.up_mm_N)), -float(np.nanmin(self.up_mm_N))
        beneath_mm_N = self.up_mm_N[: int(_NAME_MM / self.mm_per_sample)]
        named_mm = float(np.fmax.reduce(beneath_mm_N, initial=0.0)) + LETTER_MM + 1.0
        return min(max(up_mm + 0.6, named_mm, _UP_MM), highest_mm), min(max(down_mm + 0.6, _DOWN_MM), highest_mm)


def _drawn(tracing: Tracing, lead: str, start_s: float, length_s: float, scale: tuple[float, float]) -> _Drawn:
    speed_mm_s, gain_mm_mv = scale
    first = round(start_s * tracing.rate_hz)
    samples = round(length_s * tracing.rate_hz) + 1  # the last one is the next column's first: no gap between them
    signal_mv_N = tracing.signal_mv_LN[STANDARD_LEADS.index(lead), first : first + samples]
    known_mv_N = signal_mv_N[np.isfinite(signal_mv_N)]
    baseline_mv = float(np.median(known_mv_N)) if len(known_mv_N) else 0.0
    up_mm_N = (signal_mv_N - np.float32(baseline_mv)) * np.float32(gain_mm_mv)
    return _Drawn(tracing, lead, start_s, length_s, baseline_mv, up_mm_N, speed_mm_s / tracing.rate_hz)


def _baselines_mm(
    drawn: Sequence[Sequence[_Drawn]], gain_mm_mv: float, most_mm: float
) -> tuple[list[float], float, float]:
    """Where each row's baseline lies and where the page ends, on lines of the grid; and how far a strip may reach.

    Rows are as far apart as the strips that lie above one another need, and their pulses of calibration.
    """
    highest_mm = _HIGHEST_MM * max(1.0, gain_mm_mv / 10.0)
    while True:
        reach_mm = [[one.reach_mm(highest_mm) for one in row] for row in drawn]
        baselines_mm: list[float] = []
        at_mm, above_mm = float(EDGE_MM), [(0.0, 0.0)]
        for row in reach_mm:
            wider = above_mm if len(above_mm) >= len(row) else above_mm * len(row)
            needed_mm = [down + up for (_, down), (up, _) in zip(wider, row * (len(wider) // len(row)), strict=True)]
            least_mm = max(CALIBRATION_MV * gain_mm_mv, _CLOSEST_MM if baselines_mm else 0.0)
            at_mm += float(math.ceil(max(*needed_mm, least_mm)))
            baselines_mm.append(at_mm)
            above_mm = row
        bottom_mm = 5.0 * math.ceil((at_mm + max(down for _, down in above_mm) + 2.0) / 5.0)
        if bottom_mm <= most_mm or highest_mm <= _UP_MM:
            return baselines_mm, bottom_mm, highest_mm
        highest_mm -= 1.0


def _placed(one: _Drawn, x0_mm: float, baseline_mm: float, highest_mm: float, letters_per_mm: float) -> Strip:
    up_mm, down_mm = one.reach_mm(highest_mm)
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
        x0_mm=x0_mm,
        baseline_mm=baseline_mm,
        box=Box(x0_mm, baseline_mm - up_mm, one.width_mm, up_mm + down_mm),
        start_s=tracing.start_s + one.start_s,
        length_s=one.length_s,
        baseline_mv=one.baseline_mv,
        lines=tuple(_lines(one, (up_mm, down_mm), letters_per_mm)),
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


def _seen(tracing: Tracing, placed: Sequence[Sequence[Strip]], speed_mm_s: float) -> list[Box]:
    """What is seen of each strip, down to where the strip beneath begins."""
    found = []
    for row, beneath in zip(placed, [*placed[1:], ()], strict=True):
        for column, strip in enumerate(row):
            bottom_mm = beneath[column if len(beneath) > 1 else 0].box.y_mm if beneath else strip.box.bottom_mm
            end_s = strip.start_s + strip.box.width_mm / speed_mm_s
            for start_s, length_s in tracing.windows_s:
                first_s, last_s = max(strip.start_s, start_s), min(end_s, start_s + length_s)
                if last_s - first_s > 1.0 / tracing.rate_hz:
                    x_mm = strip.x0_mm + (first_s - strip.start_s) * speed_mm_s
                    top_mm = strip.box.y_mm
                    found.append(Box(x_mm, top_mm, (last_s - first_s) * speed_mm_s, max(0.0, bottom_mm - top_mm)))
    return found


def _captions(tracing: Tracing, scale: str, clipped: Sequence[str], shaded: bool, wide_mm: float) -> list[str]:
    """In as few lines as they need."""
    sentences = [scale, *tracing.caption]
    if shaded:
        windows = ", ".join(f"{start_s:.1f} to {start_s + length_s:.1f} s" for start_s, length_s in tracing.windows_s)
        sentences.append(f"Shaded: what the model saw ({windows}).")
    if clipped:
        sentences.append(f"Cut off, as it leaves its row: {', '.join(clipped)}.")
    lines = [""]
    for sentence in sentences:
        longer = f"{lines[-1]} {sentence}".strip()
        lines = [*lines[:-1], longer] if len(longer) * _LETTER_WIDE_MM <= wide_mm else [*lines, sentence]
    return lines
