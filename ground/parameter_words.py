"""Names of the HTTP interface's parameters in a sentence or a hint, to be said in other words, as a form's."""

from __future__ import annotations

import re
from collections.abc import Mapping

PARAMETERS = (
    "rate_hz",
    "unit",
    "leads",
    "exam",
    "start_s",
    "length_s",
    "exclude_patient",
    "one_per_patient",
    "lvef_min",
    "lvef_max",
    "age_min",
    "age_max",
    "acquired_after",
    "acquired_before",
)
"""Those that readers and service advise."""
_ANY = "|".join(PARAMETERS)
_ASKED_FOR = re.compile(r"(?P<before>\bLeave |\bAdd |\brate_hz (?:and|or) |\bone with )(?P<name>unit|leads|exam)\b")
"""Words of every day, which are names of parameters only behind these."""
_MARKED = re.compile(rf"(?:\bthe )?\bparameters? (?P<name>{_ANY})\b", re.IGNORECASE)
_GIVEN = re.compile(rf"\b(?P<name>{_ANY})=(?P<value>\w)")
_UNMISTAKABLE = re.compile(rf"(?<!-)\b(?P<name>{'|'.join(name for name in PARAMETERS if '_' in name)})\b")
NAMING = (_ASKED_FOR, _MARKED, _GIVEN, _UNMISTAKABLE)
"""Where a text names a parameter: each has the group `name`."""
_REQUEST = re.compile(r" (?:to|with) the request\b")


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The text with `names` in place of PARAMETERS, which must all have one."""
    text = _ASKED_FOR.sub(lambda found: found["before"] + names[found["name"]], text)
    text = _MARKED.sub(lambda found: names[found["name"]], text)
    text = _GIVEN.sub(lambda found: f"{names[found['name']]} {found['value']}", text)
    text = _UNMISTAKABLE.sub(lambda found: names[found["name"]], text)
    return _REQUEST.sub("", text)
