"""An answer as one page of paper (A4, landscape): the tracing true to scale, and beneath it what was answered.

Printed at 100 %, a millimetre of the grid is a millimetre. The page holds nothing that the answer does not.
"""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from reportlab.lib.colors import Color, HexColor, black
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from ground.findings import short_flag_words
from ground.letters import made_visible
from outputs import sentences, words
from outputs.ecg_paper import EDGE_MM, LETTER_MM, STROKE_MM, UNIT_MM, WORD_MM, Paper, Strip, ecg_paper
from outputs.narrowed import SearchFilters, filters_sentence
from outputs.report import AnswerWarning, FlagPrediction, PredictAnswer, Predictions, SearchAnswer
from outputs.study import Neighbour
from outputs.tracing import Tracing

_PLAIN, _BOLD, _SLANTED = "Helvetica", "Helvetica-Bold", "Helvetica-BoldOblique"
_WIDTH_MM, _HEIGHT_MM = (float(length / mm) for length in landscape(A4))
_SIDE_MM, _TOP_MM, _FOOT_MM = 13.5, 9.0, 6.0
_GAP_MM = 6.0
_END_MM = _HEIGHT_MM - _FOOT_MM - 4.0
"""The answer ends here, and the line at the foot begins."""
_POINTS, _SMALL, _LARGE = 7.8, 7.0, 10.0
_HIGH_MM = 0.45
"""How high a line is, for each point of its letters."""
_ANSWER_MM = 36.0
"""What is left for the answer beneath the tracing, at least: its tables. A small tracing leaves more."""
_WARNINGS_MM = 18.0
_ROWS_RAISED, _ABOVE_TABLE_MM = 3, 0.8
"""Raised findings have a row each, at most so many; more of them become a table of their own, two to a row."""
_MOST_NEIGHBOURS, _MOST_LETTERS = 5, 450
_FINE, _BOLD_LINE, _SEEN, _DOUBT = HexColor("#f2cdd4"), HexColor("#e3a1ad"), HexColor("#dfeaf6"), HexColor("#b45309")
_SEPARATOR, _QUIET, _ALARM = HexColor("#777777"), HexColor("#444444"), HexColor("#9b1c31")
_SPELT = str.maketrans(
    {"≤": "<=", "≥": ">=", "−": "-", "→": "->", "≈": "~", "‐": "-", "‑": "-", " ": " ", "\u202f": " "}
)


def answer_pdf(report: SearchAnswer | PredictAnswer, tracing: Tracing | None, made_at: datetime) -> bytes:
    """One page; the same answer at the same time gives the same bytes. made_at: with a zone; told in UTC.

    tracing: None where it was not kept; the page says so. What does not fit is left out, the least important first.
    """
    written = io.BytesIO()
    canvas = Canvas(written, pagesize=landscape(A4), invariant=True, pageCompression=1)
    canvas.setTitle("Answer to an ECG")
    canvas.setAuthor("Echo2ECG")
    canvas.setSubject(words.DISCLAIMER)
    sheet = _Sheet(canvas)
    _heading(sheet, report)
    if tracing is None:
        sheet.write("The tracing was not kept.")
    else:
        paper = _paper(sheet, report, tracing)
        _draw(canvas, paper, sheet.down_mm)
        sheet.down_mm += paper.height_mm + 2.0
    _answer(sheet, report)
    _foot(canvas, report, made_at)
    canvas.showPage()
    canvas.save()
    return written.getvalue()


def _paper(sheet: _Sheet, report: SearchAnswer | PredictAnswer, tracing: Tracing) -> Paper:
    """At 10 mm/mV, or at half of it, which is said above it, where a strip would else be cut."""
    usual = ecg_paper(tracing, "3x4+rhythm", 25.0, 10.0, most_mm=_room_mm(sheet, report))
    if not usual.clipped:
        return usual
    sheet.write("Drawn at half the usual gain, 5 mm/mV: the deflections are too large for 10.", _BOLD)
    return ecg_paper(tracing, "3x4+rhythm", 25.0, 5.0, most_mm=_room_mm(sheet, report))


def _room_mm(sheet: _Sheet, report: SearchAnswer | PredictAnswer) -> float:
    """For the grid: what the answer and two lines of captions leave."""
    answer_mm = 0.0
    if _given(report):
        more_mm = _high_mm(_raised(report.predictions)) - _ROWS_RAISED * _POINTS * _HIGH_MM
        answer_mm = _ANSWER_MM + max(0.0, more_mm)
    return _END_MM - sheet.down_mm - answer_mm - (2 * 4.2 + 4.0)


class _Sheet:
    """Writes line by line within a column. down_mm: how far down the page the next line begins."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.down_mm = _TOP_MM
        self.left_mm = _SIDE_MM
        self.wide_mm = _WIDTH_MM - 2 * _SIDE_MM

    def write(self, text: str, font: str = _PLAIN, colour: Color = black, points: float = _POINTS) -> bool:
        """A paragraph, where there is room for all of it; whether there was."""
        lines, high_mm = simpleSplit(shown(text), font, points, self.wide_mm * mm), points * _HIGH_MM
        if not self.fits(len(lines) * high_mm):
            return False
        for line in lines:
            self.line(line, font, colour, points)
            self.down_mm += high_mm
        return True

    def fits(self, high_mm: float) -> bool:
        """Whether there is room for so much."""
        return self.down_mm + high_mm <= _END_MM

    def row(self, cells: Sequence[str], at_mm: Sequence[float], font: str = _PLAIN, points: float = _POINTS) -> None:
        """Cells of a table: where each begins, from the left of the column; each ends where the next begins."""
        if not self.fits(points * _HIGH_MM):
            return
        for cell, first_mm, last_mm in zip(cells, at_mm, (*at_mm[1:], self.wide_mm), strict=True):
            self.line(cell, font, black, points, first_mm, last_mm - first_mm - 1.0)
        self.down_mm += points * _HIGH_MM

    def line(
        self, text: str, font: str, colour: Color, points: float, first_mm: float = 0.0, wide_mm: float | None = None
    ) -> None:
        """What of one line fits."""
        wide_mm, text = self.wide_mm if wide_mm is None else wide_mm, shown(text)
        while text and stringWidth(text, font, points) > wide_mm * mm:
            text = text.removesuffix("...")[:-1] + "..." if len(text) > 4 else ""
        self.canvas.setFont(font, points)
        self.canvas.setFillColor(colour)
        base_mm = _HEIGHT_MM - self.down_mm - 0.75 * points * _HIGH_MM
        self.canvas.drawString((self.left_mm + first_mm) * mm, base_mm * mm, text)


def shown(text: str) -> str:
    """As the fonts that every PDF reader has can show it: signs spelt out, letters without their marks, else `?`."""
    plain = made_visible(text[:_MOST_LETTERS]).translate(_SPELT)
    return "".join(letter if _has(letter) else _nearest(letter) for letter in plain)


def _has(letter: str) -> bool:
    return bool(letter.encode("cp1252", "ignore"))


def _nearest(letter: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", letter) if _has(part)) or "?"


def _heading(sheet: _Sheet, report: SearchAnswer | PredictAnswer) -> None:
    """What must be read first: what this is, whether it is withheld, and every warning."""
    sheet.write(f"Answer to an ECG. {report.disclaimer}", _BOLD, points=_LARGE)
    sheet.down_mm += 0.8
    if report.withheld_for:
        sheet.write(f"{words.REPORTED if _given(report) else words.WITHHELD}.", _BOLD, _ALARM, _LARGE)
        _warnings(sheet, report.withheld_for, _BOLD)
    simulated = report.studies_simulated if isinstance(report, SearchAnswer) else None
    if world := words.world_words(report.trained_on, simulated):
        sheet.write(world, _BOLD, _ALARM)
    _warnings(sheet, [one for one in report.warnings if one.severity == "warning"], _PLAIN)
    ecg = report.ecg
    recorded = f"ECG: {ecg.format}, {ecg.rate_hz:g} Hz, {ecg.duration_s:.1f} s, {len(ecg.leads)} leads."
    measured = "" if report.measured is None else f" Measured: {sentences.measured_line(report.measured)}."
    said = ecg.device_said
    if said is not None:
        device = " ".join(filter(None, (said.vendor, said.model)))
        at = "" if said.recorded_at is None else f"recorded {said.recorded_at.replace('T', ' ')}"
        recorded += f" {', '.join(filter(None, (device, at)))}." if device or at else ""
    sheet.write(recorded + measured)
    if differs := sentences.device_differs(report.measured, said):
        sheet.write(differs, _BOLD)
    sheet.down_mm += 1.0


def _warnings(sheet: _Sheet, warnings: Sequence[AnswerWarning], font: str) -> None:
    end_mm = sheet.down_mm + _WARNINGS_MM
    for number, warning in enumerate(warnings):
        if sheet.down_mm > end_mm:
            sheet.write(f"And {len(warnings) - number} more, which the answer's JSON has.", font, _ALARM)
            return
        sheet.write(
            f"{warning.severity.capitalize()}: {warning.message} {words.what_to_do(warning.code)}", font, _ALARM
        )


def _given(report: SearchAnswer | PredictAnswer) -> bool:
    return report.predictions is not None or (isinstance(report, SearchAnswer) and report.neighbours is not None)


def _answer(sheet: _Sheet, report: SearchAnswer | PredictAnswer) -> None:
    """Predictions at the left, studies at the right, and what stands behind the predictions where there is room."""
    top_mm, column_mm = sheet.down_mm, (sheet.wide_mm - _GAP_MM) / 2
    sheet.wide_mm = column_mm
    behind: list[str] = []
    if report.predictions is not None:
        _predictions(sheet, report.predictions)
        behind += sentences.how_sure(report.predictions)
        lvef = report.predictions.lvef
        if lvef is not None and lvef.estimate is not None:
            behind.remove(sentences.estimate_sentence(lvef.estimate))  # which is the heading
    if report.bundle_lacks:
        behind.append(words.lacking_sentence(report.bundle_lacks))
    left = [sentence for sentence in behind if not sheet.write(sentence, colour=_QUIET, points=_SMALL)]
    sheet.down_mm, sheet.left_mm = top_mm, _SIDE_MM + column_mm + _GAP_MM
    if isinstance(report, SearchAnswer) and report.neighbours is not None:
        _neighbours(sheet, report.neighbours, report.filters)
        summary = report.neighbour_summary
        if summary is not None:
            counted = words.counted_words(summary.studies, summary.patients)
            sheet.write(f"{words.IN_COMMON}, median (quartiles). {counted}", _BOLD)
            for row in summary.measured:
                near, index = (words.spread_words(s.median, s.low, s.high, s.n) for s in (row.neighbours, row.index))
                sheet.write(f"{row.words}, {row.unit}: {near}; index {index}")
        if any(hit.percentile is not None for hit in report.neighbours):
            left.insert(0, words.PERCENTILE)
    sheet.down_mm += 0.8
    for sentence in left:
        sheet.write(sentence, colour=_QUIET, points=_SMALL)


def _predictions(sheet: _Sheet, predictions: Predictions) -> None:
    lvef, shd = predictions.lvef, predictions.shd
    if lvef is not None and lvef.estimate is not None:
        sheet.write(sentences.estimate_sentence(lvef.estimate), _BOLD, points=_LARGE)
        sheet.down_mm += 0.5
    at_mm = (0.0, 62.0, 98.0, 115.0)
    sheet.row(("Question", "Answer", "Probability", "Base rate"), at_mm, _BOLD)
    for one in () if lvef is None else lvef.classes:
        chosen = lvef is not None and one.label == lvef.predicted
        cells = f"{words.lvef_class_words(one.range)} ({one.label})", words.MOST_PROBABLE if chosen else ""
        chance = words.chance_words(one.probability), _rate(one.base_rate)
        sheet.row((*cells, *chance), at_mm, _BOLD if chosen else _PLAIN)
    if shd is not None:
        chance = sentences.chance_of(shd), _rate(shd.base_rate)
        sheet.row((words.SHD, sentences.shd_decision(shd), *chance), at_mm)
    raised = _raised(predictions)
    if not sheet.fits(_high_mm(raised)):
        sheet.write(f"{len(raised)} findings are raised: the answer's JSON names them.", _BOLD, points=_SMALL)
    elif len(raised) > _ROWS_RAISED:
        _raised_table(sheet, raised)
    else:
        for flag in raised:
            chance = words.chance_words(flag.probability, flag.bound), _rate(flag.base_rate)
            sheet.row((flag.words, words.finding_words(flag.finding), *chance), at_mm, _BOLD)
    for own in predictions.own or ():
        chance = sentences.chance_of(own), _rate(own.base_rate)
        sheet.row((own.label, sentences.own_words(own), *chance), at_mm)
    if predictions.tells_findings and not raised:
        sheet.write("No single finding is raised.")
    sheet.down_mm += 0.8


def _raised(predictions: Predictions | None) -> list[FlagPrediction]:
    return [] if predictions is None else [flag for flag in predictions.findings if flag.finding == "raised"]


def _high_mm(raised: Sequence[FlagPrediction]) -> float:
    """How high raised findings are: as rows, or as a table of their own."""
    if len(raised) <= _ROWS_RAISED:
        return len(raised) * _POINTS * _HIGH_MM
    return _ABOVE_TABLE_MM + (1 + math.ceil(len(raised) / 2)) * _SMALL * _HIGH_MM


def _raised_table(sheet: _Sheet, raised: Sequence[FlagPrediction]) -> None:
    """Two findings to a row, the most probable ones first, from left to right."""
    sheet.down_mm += _ABOVE_TABLE_MM
    at_mm = [half * sheet.wide_mm / 2 + first_mm for half in (0, 1) for first_mm in (0.0, 36.0, 54.0)]
    sheet.row(("Raised", "Probability", "Base") * 2, at_mm, _BOLD, _SMALL)
    cells = [
        (short_flag_words(flag.flag), words.chance_words(flag.probability, flag.bound), _rate(flag.base_rate))
        for flag in sorted(raised, key=lambda flag: -flag.probability)
    ]
    for first in range(0, len(cells), 2):
        left, right = (*cells[first : first + 2], ("", "", ""))[:2]
        sheet.row((*left, *right), at_mm, points=_SMALL)


def _neighbours(sheet: _Sheet, neighbours: Sequence[Neighbour], filters: SearchFilters | None) -> None:
    shown_of = f", {_MOST_NEIGHBOURS} of {len(neighbours)}" if len(neighbours) > _MOST_NEIGHBOURS else ""
    sheet.write(f"Most similar echo studies{shown_of}", _BOLD, points=_LARGE)
    if filters is not None:
        sheet.write(f"Of those that were asked for: {filters_sentence(filters)}", _BOLD)
    sheet.down_mm += 0.5
    at_mm = (0.0, 5.0, 40.0, 54.0, 68.0, 80.0, 94.0, 101.0, 113.0)
    sheet.row(("#", "Study", "Similarity", "Percentile", "LVEF %", "SHD", "Age", "Sex", "Date"), at_mm, _BOLD)
    for hit in neighbours[:_MOST_NEIGHBOURS]:
        date = "-" if hit.acquired_at is None else hit.acquired_at.date().isoformat()
        numbers = _or_dash(hit.percentile, ".1f"), _or_dash(hit.lvef_percent, ".0f")
        known = words.shd_words(hit.shd), _or_dash(hit.age, ".0f"), hit.sex or "-", date
        marked = f"{hit.similarity:.3f}{' *' if hit.unlike else ''}"
        sheet.row((str(hit.rank), hit.study_id, marked, *numbers, *known), at_mm)
    if not neighbours:
        sheet.write("None.")
    elif all(hit.unlike for hit in neighbours):
        sheet.write(words.UNLIKE_ALL, _BOLD, _ALARM)
    elif any(hit.unlike for hit in neighbours[:_MOST_NEIGHBOURS]):
        sheet.write(f"* {words.UNLIKE}", points=_SMALL)


def _foot(canvas: Canvas, report: SearchAnswer | PredictAnswer, made_at: datetime) -> None:
    generation = f"generation {report.generation}   " if isinstance(report, SearchAnswer) else ""
    told = f"{made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    sheet = _Sheet(canvas)
    sheet.down_mm = _END_MM + 1.0
    canvas.setStrokeColor(_SEPARATOR)
    canvas.setLineWidth(0.1 * mm)
    across_mm = _HEIGHT_MM - _END_MM - 0.6
    canvas.line(_SIDE_MM * mm, across_mm * mm, (_WIDTH_MM - _SIDE_MM) * mm, across_mm * mm)
    which = f"Bundle {report.bundle}   {generation}request {report.request_id}   {told}"
    sheet.line(f"{which}   True to scale when printed at 100 %.   {report.disclaimer}", _PLAIN, _QUIET, _SMALL)


def _draw(canvas: Canvas, paper: Paper, top_mm: float) -> None:
    """The paper with its corner at the left margin, so far down; from here on y grows upwards."""
    canvas.saveState()
    canvas.translate(_SIDE_MM * mm, (_HEIGHT_MM - top_mm) * mm)
    canvas.scale(mm, mm)
    canvas.setFillColor(_SEEN)
    for box in paper.seen:
        canvas.rect(box.x_mm, -box.bottom_mm, box.width_mm, box.height_mm, stroke=0, fill=1)
    _grid(canvas, paper.grid.width_mm, paper.grid.height_mm)
    canvas.setStrokeColor(_SEPARATOR)
    canvas.setLineWidth(0.15)
    canvas.lines([(box.x_mm, -box.y_mm, box.x_mm, -box.bottom_mm) for box in paper.separators])
    canvas.setLineJoin(1)
    canvas.setStrokeColor(black)
    canvas.setLineWidth(STROKE_MM)
    for corners in paper.calibrations:
        _path(canvas, [(x_mm, -y_mm) for x_mm, y_mm in corners])
    for strip in paper.strips:
        _strip(canvas, strip)
        _label(canvas, strip)
    for y_mm, line in paper.captions:
        _text(canvas, line, EDGE_MM, y_mm, _PLAIN, WORD_MM)
    canvas.restoreState()


def _grid(canvas: Canvas, width_mm: float, height_mm: float) -> None:
    for colour, wide_mm, thick in ((_FINE, 0.1, False), (_BOLD_LINE, 0.2, True)):
        canvas.setStrokeColor(colour)
        canvas.setLineWidth(wide_mm)
        down = [(x, 0, x, -height_mm) for x in range(round(width_mm) + 1) if (x % 5 == 0) is thick]
        across = [(0, -y, width_mm, -y) for y in range(round(height_mm) + 1) if (y % 5 == 0) is thick]
        canvas.lines(down + across)


def _strip(canvas: Canvas, strip: Strip) -> None:
    box = strip.box
    canvas.saveState()
    edge = canvas.beginPath()
    edge.rect(box.x_mm, -box.bottom_mm, box.width_mm, box.height_mm)
    canvas.clipPath(edge, stroke=0, fill=0)
    canvas.translate(strip.x0_mm, -strip.baseline_mm)
    canvas.scale(UNIT_MM, -UNIT_MM)
    canvas.setStrokeColor(_DOUBT if strip.doubt and not strip.derived else black)
    canvas.setLineWidth((0.75 if strip.derived else 1.0) * STROKE_MM / UNIT_MM)
    for line_P2 in strip.lines:
        _path(canvas, line_P2.tolist())
    canvas.restoreState()


def _label(canvas: Canvas, strip: Strip) -> None:
    box = strip.label
    base_mm = box.bottom_mm
    _text(canvas, strip.lead, box.x_mm, base_mm, _SLANTED if strip.derived else _BOLD, LETTER_MM)
    if strip.doubt:
        canvas.saveState()
        canvas.setDash(0.8, 0.6)
        canvas.setLineWidth(0.2)
        canvas.roundRect(box.x_mm - 0.7, -base_mm - 0.9, box.width_mm + 1.4, box.height_mm + 1.0, 0.6)
        canvas.restoreState()
        _text(canvas, strip.doubt, box.x_mm + box.width_mm + 1.4, base_mm, _PLAIN, WORD_MM)


def _path(canvas: Canvas, points: Iterable[Sequence[float]]) -> None:
    path = canvas.beginPath()
    for number, (x, y) in enumerate(points):
        if number:
            path.lineTo(x, y)
        else:
            path.moveTo(x, y)
    canvas.drawPath(path, stroke=1, fill=0)


def _text(canvas: Canvas, text: str, x_mm: float, y_mm: float, font: str, size_mm: float) -> None:
    canvas.setFillColor(black)
    canvas.setFont(font, size_mm)
    canvas.drawString(x_mm, -y_mm, shown(text))


def _rate(base_rate: float | None) -> str:
    return "" if base_rate is None else f"{base_rate:.2f}"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
