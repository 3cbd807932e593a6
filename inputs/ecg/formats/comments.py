"""What the lines before a text table state: sampling rate or interval, unit, factor, under names of nothing else.

A heart rate or the limit of a filter is never taken for a sampling rate: `rate: 70` and `50 Hz` say nothing here.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass

from inputs.ecg.formats.factors import Factor, factor_in
from inputs.ecg.formats.text import encoding_of
from inputs.errors import UnreadableFile

_MOST_LETTERS = 200
_LAST_BYTES = 8192
_NUMBER = r"(?P<value>[0-9]{1,7}(?:[.,][0-9]{1,9})?)"
_MARK = r"[ \t]*(?:[:=][ \t]*[,;|\t]?|[,;|\t ])[ \t]*"
_SURE = r"sampl(?:e|es|ing)?[ _-]?(?:rate|freq(?:uency)?)|fs|sfreq|rate_hz|abtast(?:rate|frequenz)"
_HERTZ = r"(?P<unit>k?hz|hertz|sps)"
_RATES = (
    re.compile(rf"(?:ecg )?(?:{_SURE})[ _]?[\[(]?(?:hz)?[\])]?{_MARK}{_NUMBER}[ \t]*{_HERTZ}?", re.IGNORECASE),
    re.compile(rf"(?:rate|freq(?:uency)?){_MARK}{_NUMBER}[ \t]*{_HERTZ}", re.IGNORECASE),
    re.compile(rf"{_NUMBER}[ ]*(?P<unit>samples(?:/|[ ]per[ ])s(?:ec(?:ond)?)?)", re.IGNORECASE),
)
_INTERVAL = re.compile(
    rf"(?:sampl(?:e|es|ing)?[ _-]?(?:interval|period|time)|dt)[ _]?[\[(]?(?P<before>m?s|us)?[\])]?{_MARK}{_NUMBER}"
    r"[ \t]*(?P<unit>s|sec|ms|msec|us|µs)?",
    re.IGNORECASE,
)
_A_SAMPLE = re.compile(rf"{_NUMBER}[ ]*(?P<unit>m?sec|m?s|us|µs)(?:/|[ ]per[ ])sample", re.IGNORECASE)
_VOLTAGE = r"[numµμ]?v|(?:nano|micro|milli)?volts?"
_UNIT = re.compile(
    r"(?:(?:signal|amplitude|voltage|lead|ecg|data|value)?[ _-]?units?|einheit)"
    rf"{_MARK}[\[(]?(?P<unit>{_VOLTAGE})[\])]?",
    re.IGNORECASE,
)
_BARE_UNIT = re.compile(r"(?:in )?[\[(]?(?P<unit>[uµμm]v|(?:micro|milli)volts?)[\])]?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6}


@dataclass(frozen=True)
class SaidBefore:
    """What stands before a table. rate_hz, unit, factor: None where it says none."""

    rate_hz: float | None = None
    unit: str | None = None
    factor: Factor | None = None


def said_before(lines: Iterable[str]) -> SaidBefore:
    """What comments and other lines before a table say. Raises UnreadableFile for two rates or two units."""
    rates, units = set(), set()
    lines = list(lines)
    for line in lines:
        text = line[:_MOST_LETTERS].strip("#%/ \t\"',;")
        for part in {text, *(part.strip("\"' \t") for part in re.split(r"[,;|\t]", text))}:
            if (rate_hz := _rate(part)) is not None:
                rates.add(rate_hz)
            if (match := _UNIT.fullmatch(part) or _BARE_UNIT.fullmatch(part)) is not None:
                units.add(match["unit"])
    if len(rates) > 1:
        raise UnreadableFile("rate_conflict", "The lines before the table state more than one sampling rate.")
    if len({unit.casefold() for unit in units}) > 1:
        raise UnreadableFile("unit_conflict", "The lines before the table state more than one unit.")
    return SaidBefore(next(iter(rates), None), next(iter(units), None), factor_in(lines))


def comments_below(data: bytes) -> list[str]:
    """The comments in the last lines of a text, of which `text.first_comments` may not have come so far."""
    encoding = encoding_of(data)
    if encoding == "utf-16":
        encoding = "utf-16-le" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    tail = data[max(0, len(data) - _LAST_BYTES) // 2 * 2 :].decode(encoding, "replace")
    lines = (line.lstrip() for line in tail.splitlines()[1:])  # the first may be part of one
    return [line.lstrip("#% \t") for line in lines if line[:1] in ("#", "%") and line]


def _rate(text: str) -> float | None:
    for pattern in _RATES:
        if (match := pattern.fullmatch(text)) is not None:
            per_second = float(match["value"].replace(",", "."))
            return per_second * (1000 if (match["unit"] or "").casefold() == "khz" else 1) or None
    match = _INTERVAL.fullmatch(text)
    unit = None if match is None else (match["unit"] or match["before"])
    if match is None and (match := _A_SAMPLE.fullmatch(text)) is not None:
        unit = match["unit"]
    if match is None or unit is None:
        return None
    interval_s = float(match["value"].replace(",", ".")) * _SECONDS[unit.casefold()]
    return round(1 / interval_s, 3) if interval_s else None
