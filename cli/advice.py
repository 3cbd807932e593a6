"""What readers and the service advise in words of the HTTP interface, in words of the command line."""

from __future__ import annotations

import re

_OPTIONS = {
    "rate_hz": "--rate-hz",
    "unit": "--unit",
    "leads": "--leads",
    "exam": "--exam",
    "start_s": "--start-s",
    "length_s": "--length-s",
    "exclude_patient": "--exclude-patient",
    "one_per_patient": "--one-per-patient",
    "lvef_min": "--lvef-min",
    "lvef_max": "--lvef-max",
    "age_min": "--age-min",
    "age_max": "--age-max",
    "acquired_after": "--acquired-after",
    "acquired_before": "--acquired-before",
}
_ANY = "|".join(_OPTIONS)
_MARKED = re.compile(rf"(?:\bthe )?\bparameters? (?P<name>{_ANY})\b", re.IGNORECASE)
_GIVEN = re.compile(rf"\b(?P<name>{_ANY})=(?P<value>\w)")
_UNMISTAKABLE = re.compile(rf"(?<!-)\b(?P<name>{'|'.join(name for name in _OPTIONS if '_' in name)})\b")
_ASKED_FOR = re.compile(
    r"(?P<before>\bLeave |\bAdd |(?:--rate-hz|\brate_hz) (?:and|or) |\bone with )(?P<name>unit|leads|exam)\b"
)
"""Words of every day, which are names of parameters only behind these."""
_LEFT_OUT = re.compile(rf"\bLeave (?P<name>{_ANY}) out\b")
_CAN_BE_GIVEN = re.compile(r"\b(?P<name>unit) can be given\b")
_NAMING = (_MARKED, _GIVEN, _UNMISTAKABLE, _ASKED_FOR, _CAN_BE_GIVEN)
_REQUEST = re.compile(r" (?:to|with) the request\b")


def in_options(text: str) -> str:
    """A sentence or a hint with the names of options in place of the interface's parameters."""
    text = _MARKED.sub(lambda found: _OPTIONS[found["name"]], text)
    text = _GIVEN.sub(lambda found: f"{_OPTIONS[found['name']]} {found['value']}", text)
    text = _UNMISTAKABLE.sub(lambda found: _OPTIONS[found["name"]], text)
    text = _ASKED_FOR.sub(lambda found: found["before"] + _OPTIONS[found["name"]], text)
    return _REQUEST.sub("", text)


def for_one_of_many(text: str) -> str:
    """The same, and how it is said of this file alone: options hold for every file of a command."""
    named = {found["name"] for pattern in _NAMING for found in pattern.finditer(text)}
    wanted = [name for name in _OPTIONS if name in named - set(_LEFT_OUT.findall(text))]
    if not wanted:
        return in_options(text)
    *some, last = ["path", *wanted]
    rows = ", a row for each exam" if "exam" in wanted else ""
    columns = f"{', '.join(some)} and {last}"
    return f"{in_options(text)} For this file alone: list it in a CSV with the columns {columns}{rows}."
