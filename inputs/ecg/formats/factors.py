"""A factor that a line before or below a text table states: so much voltage a count, or so many counts a voltage.

What a recorder draws or how many bits it has (`Gain: 10 mm/mV`, `Resolution: 16 bits`) is no factor of the samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inputs.ecg.formats.base import Channel, millivolts_per
from inputs.errors import UnreadableFile
from inputs.records import InputWarning

_MOST_LETTERS = 200
_WORD = (
    r"(?:adc|a/d|dac|ecg|ekg|signal|amplitude|voltage|amplifier|amp|lead|channel|sample|data|value|digital|vertical"
    r"|units?|counts?|bits?|raw|physical|per|y)"
)
_KIND = r"(?:gain|scal(?:e|ing)|factor|resolution|lsb|sensitivity|multiplier|conversion|calibration|coefficient)"
_VOLT = r"(?P<{}>[numµμ]?v|(?:nano|micro|milli)?volts?)"
_COUNT = r"(?:bits?|lsb|counts?|adu|ad[ -]?units?|units?|digits?|steps?|levels?|adc)"
_PER = r"[ ]*(?:/|per)[ ]*(?:1[ ]*)?"
_PER_COUNT = re.compile(_VOLT.format("volt") + _PER + _COUNT, re.IGNORECASE)
_PER_VOLT = re.compile(rf"(?:{_COUNT})?[ ]*(?:\([0-9]{{1,9}}\))?" + _PER + _VOLT.format("volt"), re.IGNORECASE)
_BEHIND = re.compile(rf"[ ]*{_VOLT.format('volt')}(?![\w/])", re.IGNORECASE)
_VOLTAGE = re.compile(_VOLT.format("volt"), re.IGNORECASE)
_NO_FACTOR = re.compile(r"[mc]m[ ]*(?:/|per)[ ]*.{0,20}|bits?|db|m?s|msec|sec|hz|khz|%|m?mm|pixels?", re.IGNORECASE)

_NAME = re.compile(
    rf"(?P<name>(?:{_WORD}[ _-]{{0,2}}){{0,6}}{_KIND}(?:[ _-]{{0,2}}(?:{_KIND}|value|units?|s)){{0,3}}"
    rf"|(?:units?|counts?|{_VOLT.format('first')})[ _-]?per[ _-]?(?:bit|lsb|count|unit|[mu]v)"
    rf"|{_VOLT.format('second')}[ ]*/[ ]*{_COUNT}|{_COUNT}[ ]*/[ ]*{_VOLT.format('third')}"
    rf"|1[ ]*{_COUNT}|1[ ]*{_VOLT.format('fourth')})"
    r"(?:[ ]*[\[(](?P<unit>[^\])]{1,30})[\])]|[ _-](?P<bare>[numµμ]v))?"
    r"[ \t]*[:=,;|\t ][ \t]*(?P<values>[-+.,0-9x].*)",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"[ \"']*x?(?P<inverse>1[ ]*/[ ]*(?=[0-9]))?(?P<number>[-+]?(?:[0-9]{1,12}(?:[.,][0-9]{0,12})?|[.,][0-9]{1,12})"
    r"(?:e[-+]?[0-9]{1,2})?)[ ]*(?P<rest>.*?)[ \"']*",
    re.IGNORECASE,
)
_SURELY = re.compile(
    rf"\b{_COUNT}{_PER}{_VOLT.format('first')}\b|\b{_VOLT.format('second')}{_PER}{_COUNT}\b"
    r"|\b(?:multipl(?:y|ied)|divided?) (?:by|with)\b",
    re.IGNORECASE,
)
"""What tells of a factor in words that are not taken apart."""
_WITH_A_NUMBER = re.compile(
    r"per[ ]?(?:bit|lsb|count)|\b(?:multipl|divi)(?:y|ie|i[sz]|de|s[oi]|dier)|fa[ck]t(?:or|eur)\b|\bfat(?:or|tore)\b"
    r"|skalier|\bquanti[sz]|\blsb\b|aufl(?:ö|oe?)sung|verst(?:ä|ae?)rkung|\bgan(?:ho|ancia)\b|guadagno",
    re.IGNORECASE,
)
_WITH_A_VOLTAGE = re.compile(r"\b(?:units?|einheit(?:en)?|steps?|unidad(?:es)?|unités?)\b", re.IGNORECASE)
_RAW = r"(?:values?|raw|samples?|counts?|adc|adu|data|signal|digital|lsb|digits?|x|ecg|ekg)"
_TIMES = r"[ ]*[*×·/÷][ ]*"
_SUM = re.compile(
    rf"\b{_RAW}\)?{_TIMES}(?:[0-9]*[.,])?[0-9]+(?:e[-+]?[0-9]+)?(?![\w./:-])"
    rf"|(?<![\w./:-])(?:[0-9]*[.,])?[0-9]+(?:e[-+]?[0-9]+)?[ ]*[*×·][ ]*\(?{_RAW}\b",
    re.IGNORECASE,
)
"""How a voltage is made of a sample: `mV = value * 0.00488`, `raw/205`."""
_NUMBER = re.compile(
    r"(?<![\w.,/-])(?<![0-9]:)(?:[0-9]{1,12}(?:[.,][0-9]{1,12})?|[.,][0-9]{1,12})(?:e[-+]?[0-9]{1,2})?(?![\w:])",
    re.IGNORECASE,
)
_BESIDE_IT = re.compile(
    r"[ ]*[-\])]?[ ]*(?:(?:[mc]m|k?hz|hertz|bits?|db|m?s|msec|sec(?:onds?)?|min|samples?|sps|channels?|leads?|bpm"
    r"|pixels?|years?"
    r"|[kmg]?(?:ohms?|Ω))\b|%)",
    re.IGNORECASE,
)
"""Behind a number that is no factor."""
_DRAWN = re.compile(
    r"calibrat|kalibr|eich|pulse|filter|range|noise|peak|amplitude of|wave|mm[ ]*(?:/|per)", re.IGNORECASE
)
_START = re.compile(r"[,;|\t][ \t]*|[=:][ ]*\S+[ ]+")
_BITS = {8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 24.0, 32.0}


@dataclass(frozen=True)
class Factor:
    """What lines state. count_mv: one count in millivolt; None where they do not say what their number means.

    perhaps_mv: what it is where that number, which has a unit of voltage beside it, is one.
    """

    count_mv: float | None
    perhaps_mv: float | None = None


def factor_in(lines: Iterable[str]) -> Factor | None:
    """The factor that lines beside a table state; None where they state none, or one that changes nothing.

    Where one is stated in full, numbers without a unit beside it (the gain of an amplifier) are not asked.
    """
    found: set[float | None] = set()
    perhaps: set[float | None] = set()
    for line in lines:
        text = line[:_MOST_LETTERS].strip("#%/ \t\"',;")
        own = set(_factors(text))
        found |= own
        if not own:
            perhaps |= set(_somehow(text))
    certain = {round(value, 15) for value in found if value is not None}
    if len(certain) == 1:
        return Factor(certain.pop())
    if found or len(perhaps) > 1:
        return Factor(None)
    return Factor(None, perhaps.pop()) if perhaps else None


def _somehow(text: str) -> Iterator[float | None]:
    """What a line that is not taken apart may state, in millivolt a count where a unit of voltage is beside it."""
    if _SUM.search(text) or _SURELY.search(text):
        yield None
        return
    spelt = re.sub(r"(?<=[a-z][a-z])(?=[A-Z])", " ", text)
    bare = _WITH_A_NUMBER.search(spelt) is not None
    if not (bare or _WITH_A_VOLTAGE.search(spelt)) or _DRAWN.search(spelt):
        return
    for match in _NUMBER.finditer(spelt):
        if _BESIDE_IT.match(spelt, match.end()):
            continue
        number = float(match[0].replace(",", "."))
        volt = _BEHIND.match(spelt, match.end())
        if volt is not None:
            value = _millivolts(number, volt["volt"])
            yield None if value is None else round(value, 15)
        elif bare and number not in (0.0, 1.0):
            yield None


def with_factor(
    channels: Sequence[Channel], factor: Factor, unit: str | None
) -> tuple[Sequence[Channel], list[InputWarning]]:
    """The leads in millivolt, where whole numbers are counts beyond doubt, and what must be said of it.

    unit: of all leads, where a line or the request states one. Numbers that are not whole are no counts. Raises
    UnreadableFile for whole numbers of which nobody can say whether the factor was applied.
    """
    leads = [channel for channel in channels if channel.lead is not None]
    units = {millivolts_per(text) for channel in leads if (text := channel.unit or unit or "")}
    count_mv = factor.count_mv or factor.perhaps_mv
    if count_mv is not None and {round(per, 15) for per in units if per} == {count_mv}:
        return channels, []  # so the numbers are in that unit
    if any(np.any(np.mod(channel.samples[np.isfinite(channel.samples)], 1)) for channel in leads):
        message = "A line beside the table states a factor; its numbers are not whole and were taken as they stand."
        return channels, [InputWarning("factor_not_applied", message)]
    if factor.count_mv is None or units:
        raise UnreadableFile(
            "scale_unclear",
            "The lines beside the table state a factor, and its whole numbers may be counts or already in a unit.",
            hint="Send the samples in mV or uV without that line, or counts with a line such as"
            " `resolution: 4.88 uV/bit` and no unit, there or in the request.",
        )
    message = f"The numbers were taken as counts of {factor.count_mv:g} mV, as a line beside the table states."
    scaled = [Channel(each.lead, "mV", each.samples * factor.count_mv) for each in channels]
    return scaled, [InputWarning("factor_applied", message)]


def _factors(text: str) -> Iterator[float | None]:
    """The factors of a line in millivolt a count, None for one that says less."""
    for start in (0, *(match.end() for match in _START.finditer(text))):
        match = _NAME.match(text, start)
        if match is None:
            continue
        named = match["unit"] or match["bare"] or ""
        values = match["values"]
        whole = _VALUE.fullmatch(values)
        if whole is not None and not re.search(r"[,;|\t]", whole["rest"]):  # a decimal comma, perhaps
            yield from _of_value(match["name"], named, whole)
            continue
        for cell in re.split(r"[,;|\t]", values):
            value = _VALUE.fullmatch(cell)
            if value is None:
                break
            yield from _of_value(match["name"], named, value)


def _of_value(name: str, named_unit: str, value: re.Match[str]) -> Iterator[float | None]:
    number = float(value["number"].replace(",", "."))
    if value["inverse"]:
        number = 1.0 / number if number else 0.0
    name, unit = name.casefold().strip(" _-"), (value["rest"].strip("[]() ") or named_unit).strip()
    if _NO_FACTOR.fullmatch(unit) or (not unit and "resolution" in name and number in _BITS):
        return
    if re.fullmatch(rf"1[ ]*{_COUNT}", name) or re.fullmatch(_COUNT, name):
        if _VOLTAGE.fullmatch(unit):  # `1 LSB = 4.88 uV`; else a number of samples, or of bits
            yield _millivolts(number, unit)
        return
    if (one := re.fullmatch(r"1[ ]*(.+)", name)) is not None:
        if re.fullmatch(_COUNT, unit, re.IGNORECASE):  # `1 mV = 200 counts`
            yield _a_count(number, one[1])
        return
    spelt = name.replace("_", " ").replace("-", " ")
    unit = unit or (spelt if _PER_COUNT.fullmatch(spelt) or _PER_VOLT.fullmatch(spelt) else "")
    if (per_count := _PER_COUNT.fullmatch(unit)) is not None:
        yield _millivolts(number, per_count["volt"])
    elif (per_volt := _PER_VOLT.fullmatch(unit)) is not None:
        yield _a_count(number, per_volt["volt"])
    elif _VOLTAGE.fullmatch(unit) and "calibration" in name:  # the pulse that is drawn
        return
    elif _VOLTAGE.fullmatch(unit) and not re.search("gain|sensitivity", name):
        yield _millivolts(number, unit)
    elif unit or number not in (0.0, 1.0):
        yield None


def _millivolts(number: float, unit: str) -> float | None:
    per = millivolts_per(unit)
    return number * per if per is not None and number > 0 else None


def _a_count(number: float, unit: str) -> float | None:
    per = millivolts_per(unit)
    return per / number if per is not None and number > 0 else None
