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
_ASKED_FOR = re.compile(r"(?P<before>\bLeave |\bAdd |--rate-hz (?:and|or) |\bone with )(?P<name>unit|leads|exam)\b")
"""Words of every day, which are names of parameters only behind these."""
_REQUEST = re.compile(r" (?:to|with) the request\b")


def in_options(text: str) -> str:
    """A sentence or a hint with the names of options in place of the interface's parameters."""
    text = _MARKED.sub(lambda found: _OPTIONS[found["name"]], text)
    text = _GIVEN.sub(lambda found: f"{_OPTIONS[found['name']]} {found['value']}", text)
    text = _UNMISTAKABLE.sub(lambda found: _OPTIONS[found["name"]], text)
    text = _ASKED_FOR.sub(lambda found: found["before"] + _OPTIONS[found["name"]], text)
    return _REQUEST.sub("", text)
