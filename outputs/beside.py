"""Two answers beside each other: what differs between them, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from outputs.report import SearchAnswer
from outputs.sentences import undecided
from outputs.words import LVEF, MOST_PROBABLE, SHD, UNKNOWN, finding_words, percent_words


@dataclass(frozen=True)
class ComparedRow:
    """One number or word of each answer; `change` is empty where a difference says nothing."""

    name: str
    first: str
    second: str
    change: str = ""


_MEASURED = (
    ("Heart rate", "heart_rate_bpm", "/min"),
    ("PR", "pr_ms", " ms"),
    ("QRS", "qrs_ms", " ms"),
    ("QT", "qt_ms", " ms"),
    ("QTc", "qtc_ms", " ms"),
    ("Axis", "axis_deg", "\u00b0"),
)


def compared_rows(first: SearchAnswer, second: SearchAnswer) -> Iterator[ComparedRow]:
    """What was measured of one or both, then what was predicted; findings only where the answers differ."""
    for name, field, unit in _MEASURED:
        one, other = getattr(first.measured, field, None), getattr(second.measured, field, None)
        if one is not None or other is not None:
            yield _numbers(name, one, other, unit)
    yield _numbers(f"{LVEF}, estimate", _estimate(first), _estimate(second), " %", change_in=" points")
    yield ComparedRow(f"{LVEF}, {MOST_PROBABLE}", _predicted(first), _predicted(second))
    yield _chances(SHD, _shd(first), _shd(second))
    found_first, found_second = _findings(first), _findings(second)
    for words in sorted(found_first.keys() | found_second.keys()):
        of_first, of_second = found_first.get(words, UNKNOWN), found_second.get(words, UNKNOWN)
        if of_first != of_second:
            yield ComparedRow(words, of_first, of_second)


def shared_sentence(first: SearchAnswer, second: SearchAnswer) -> str:
    """How many of the similar studies are the same."""
    if first.neighbours is None or second.neighbours is None:
        return "One of the two answers is withheld, so their studies cannot be compared."
    of_first, of_second = ({each.study_id for each in answer.neighbours or []} for answer in (first, second))
    return f"Of the {len(of_first)} and {len(of_second)} similar studies {len(of_first & of_second)} are the same."


def _chances(name: str, first: float | None, second: float | None) -> ComparedRow:
    """Probabilities in the words of an answer, and their difference in points."""
    one, other = (UNKNOWN if value is None else percent_words(value) for value in (first, second))
    if first is None or second is None:
        return ComparedRow(name, one, other)
    change = round(100 * second) - round(100 * first)
    return ComparedRow(name, one, other, f"{change:+d} points" if change else "none")


def _numbers(
    name: str, first: float | None, second: float | None, unit: str, change_in: str | None = None
) -> ComparedRow:
    one, other = (UNKNOWN if value is None else f"{value:.0f}{unit}" for value in (first, second))
    if first is None or second is None:
        return ComparedRow(name, one, other)
    # Of the rounded numbers, so that what stands beside them is their difference.
    change = round(second) - round(first)
    return ComparedRow(name, one, other, f"{change:+d}{unit if change_in is None else change_in}" if change else "none")


def _estimate(answer: SearchAnswer) -> float | None:
    lvef = None if answer.predictions is None else answer.predictions.lvef
    return None if lvef is None or lvef.estimate is None else lvef.estimate.percent


def _predicted(answer: SearchAnswer) -> str:
    lvef = None if answer.predictions is None else answer.predictions.lvef
    return UNKNOWN if lvef is None else lvef.predicted


def _shd(answer: SearchAnswer) -> float | None:
    shd = None if answer.predictions is None else answer.predictions.shd
    return None if shd is None or undecided(shd) else shd.probability


def _findings(answer: SearchAnswer) -> dict[str, str]:
    findings = [] if answer.predictions is None else answer.predictions.findings
    return {flag.words: finding_words(flag.finding) for flag in findings}
