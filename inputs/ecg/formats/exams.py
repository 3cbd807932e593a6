"""One of many ECGs in a file: chosen by its id where the file has such, else by its place from 0, never by either.

Sentences say where ids stand and how many there are, and never an id, which may be a patient's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inputs.errors import UnreadableFile

_ID_NUMBER = re.compile(r"-?[0-9]{1,18}")
_ENDING = re.compile(r"(?<=..)(ids?|name|no|nr|number|index|code|key)$")


@dataclass(frozen=True)
class Ids:
    """What ECGs are chosen by, one for each. by: what it is and where it stands, as sentences call it."""

    values: Sequence[str] | NDArray[Any]
    by: str


def known_name(key: str) -> str:
    """`examid` as `exam_id`: a name of a known list, as most files spell it."""
    return _ENDING.sub(r"_\1", key)


def place_of_exam(kind: str, exams: int, ids: Ids | None, exam: str | None) -> int:
    """Which of a file's ECGs is meant, from 0: by its id, or by its place in a file without ids.

    exams: how many there are. ids: theirs, or None. Raises UnreadableFile, whose sentence holds no id.
    """
    by = "its place in the file, from 0" if ids is None else ids.by
    if exam is None:
        if exams == 1:
            return 0
        raise UnreadableFile(
            "exam_missing", f"{kind} holds {exams} ECGs.", hint=f"Choose one with the parameter exam: {by}."
        )
    if ids is None:
        places = [int(exam)] if re.fullmatch("[0-9]{1,12}", exam) and int(exam) < exams else []
        way_out = f"It has no ids: give a place from 0 to {exams - 1}."
    else:
        places = [int(place) for place in np.flatnonzero(_same_id(ids.values, exam))]
        way_out = f"Give {by}."
    if len(places) != 1:
        many = "no ECG" if not places else f"{len(places)} ECGs"
        sentence = f"{kind} holds {exams} ECG{'' if exams == 1 else 's'}, and {many} of the exam that was asked for."
        raise UnreadableFile("exam_not_found", sentence, hint=way_out)
    return places[0]


def _same_id(ids: Sequence[str] | NDArray[Any], exam: str) -> NDArray[np.bool_]:
    if isinstance(ids, np.ndarray):
        return (ids == int(exam)) if _ID_NUMBER.fullmatch(exam) else np.zeros(len(ids), bool)
    return np.array([one == exam for one in ids], bool)
