"""What the fields of the pages' forms are called, and refusals in these words: the API's own name its parameters."""

from __future__ import annotations

import re

from ground.parameter_words import renamed
from outputs.words import SHD

LABELS = {
    "rate_hz": "Sampling rate",
    "unit": "Unit",
    "leads": "Leads in file order",
    "exam": "Which ECG of many",
    "start_s": "Read from second",
    "length_s": "How many seconds",
    "k": "How many studies",
    "lvef_min": "LVEF at least",
    "lvef_max": "LVEF at most",
    "age_min": "Age at least",
    "age_max": "Age at most",
    "sex": "Sex",
    "acquired_after": "Studies from",
    "acquired_before": "Studies until",
    "view": "With this view",
    "shd": SHD,
    "one_per_patient": "One study per patient",
    "exclude_patient": "Leave out this patient",
    "name": "Whose it is",
    "scopes": "What it may do",
    "expires_in_days": "Valid for so many days",
}
_QUOTED = {name: f'"{label}"' for name, label in LABELS.items()}
_AT_FIRST = re.compile(rf"^(?P<name>{'|'.join(LABELS)})(?:\.\d+)*(?=: | must )")
_LEFT_OUT = re.compile(r'\bLeave ("[^"]+") out\b')
_MEANT = re.compile(r"Is \w+ meant\?")


def in_labels(text: str) -> str:
    """A sentence or a hint with the labels of fields in place of parameters: `Fill in "Sampling rate" and "Unit".`

    A guess at a name that was misspelt in an address stays as it is.
    """
    if _MEANT.fullmatch(text):
        return text
    text = _AT_FIRST.sub(lambda found: _QUOTED[found["name"]], text)
    text = renamed(text, _QUOTED)
    return _LEFT_OUT.sub(r"Leave \1 empty", text).replace('Add "', 'Fill in "').replace('add "', 'fill in "')
