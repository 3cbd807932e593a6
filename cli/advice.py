"""What readers and the service advise in words of the HTTP interface, in words of the command line."""

from __future__ import annotations

import re

from ground.parameter_words import NAMING, PARAMETERS, renamed

_OPTIONS = {name: f"--{name.replace('_', '-')}" for name in PARAMETERS}
_LEFT_OUT = re.compile(rf"\bLeave (?P<name>{'|'.join(PARAMETERS)}) out\b")
_CAN_BE_GIVEN = re.compile(r"\b(?P<name>unit) can be given\b")


def in_options(text: str) -> str:
    """A sentence or a hint with the names of options in place of the interface's parameters."""
    return renamed(text, _OPTIONS)


def for_one_of_many(text: str) -> str:
    """The same, and how it is said of this file alone: options hold for every file of a command."""
    named = {found["name"] for pattern in (*NAMING, _CAN_BE_GIVEN) for found in pattern.finditer(text)}
    wanted = [name for name in PARAMETERS if name in named - set(_LEFT_OUT.findall(text))]
    if not wanted:
        return in_options(text)
    *some, last = ["path", *wanted]
    rows = ", a row for each exam" if "exam" in wanted else ""
    columns = f"{', '.join(some)} and {last}"
    return f"{in_options(text)} For this file alone: list it in a CSV with the columns {columns}{rows}."
