"""What an electrocardiograph wrote beside the signal, bounded: from a reader's findings to `DeviceSaid`.

A reader hands over what it found, however long and odd; names, ids and birth dates it never hands over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from inputs.ecg.statements import without_people
from inputs.limits import MAX_SAID_LETTERS, MAX_SAID_LINES
from inputs.records import DeviceSaid

MEASURES: tuple[str, ...] = (
    "heart_rate_bpm",
    "pr_ms",
    "qrs_ms",
    "qt_ms",
    "qtc_ms",
    "p_axis_deg",
    "qrs_axis_deg",
    "t_axis_deg",
)
_MOST = 10_000.0
"""In beats per minute, milliseconds or degrees: beyond are the marks that files have for "not measured"."""


def device_said(
    *,
    vendor: str | None = None,
    model: str | None = None,
    recorded_at: str | None = None,
    filters: Iterable[str] = (),
    measures: Mapping[str, float | str | None] | None = None,
    statements: Iterable[str] = (),
    paced: bool | None = None,
) -> DeviceSaid:
    """Statements that speak of people are left out (`without_people`); readers that know names leave more out. Texts
    lose control characters and what is beyond MAX_SAID_LETTERS; measures that are no number are left out.

    ValueError for a measure that is none of MEASURES: a mistake of the reader, not of the file.
    """
    if unknown := set(measures or {}) - set(MEASURES):
        raise ValueError(f"no such measures: {sorted(unknown)}")
    numbers = {name: _number((measures or {}).get(name)) for name in MEASURES}
    return DeviceSaid(
        vendor=_text(vendor),
        model=_text(model),
        recorded_at=_text(recorded_at),
        filters=_texts(filters),
        measures=tuple((name, value) for name, value in numbers.items() if value is not None),
        statements=_texts(without_people(statements, ())),
        paced=paced,
    )


def _texts(given: Iterable[str]) -> tuple[str, ...]:
    texts = (text for one in given if (text := _text(one)) is not None)
    return tuple(text for text, _ in zip(texts, range(MAX_SAID_LINES), strict=False))


def _text(given: str | None) -> str | None:
    if given is None:
        return None
    printable = "".join(letter if letter.isprintable() else " " for letter in given[: 4 * MAX_SAID_LETTERS])
    return " ".join(printable.split())[:MAX_SAID_LETTERS] or None


def _number(given: float | str | None) -> float | None:
    try:
        value = math.nan if given is None else float(given)
    except ValueError:
        return None
    return value if abs(value) < _MOST else None
