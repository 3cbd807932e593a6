"""Statements of an interpretation without the people that stand among them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from inputs.limits import MAX_SAID_LETTERS, MAX_SAID_LINES

_OF_PEOPLE = re.compile(
    r"\b(?:confirmed|reviewed|referred|overread|edited|interpreted|signed|ordered|acquired|read)\b.*\bby\b"
    r"|\bby:|\b(?:dr|md|m\.d|physician|technician|arzt|médico|médecin|patient(?:in)?)\b"
    r"|\b(?:befundet|bestätigt|gezeichnet|validé|confirmado|revisado|firmado|refertato|validato)\b"
    r"|\b(?:mrn|dob|born|geb(?:oren)?|née?|naissance|nacimiento|ssn|nhs)\b|[0-9]{6,}"
    r"|\b(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}\b|\b[0-9]{1,2}[./][0-9]{1,2}[./](?:19|20)?[0-9]{2}\b",
    re.IGNORECASE,
)
"""Who signed, for whom, and what an identity is made of: long numbers and dates. A word too many goes, none too few."""
_MOST_LETTERS = 4 * MAX_SAID_LETTERS
_MOST_LINES = 4 * MAX_SAID_LINES
_MOST_NAMES = 64
"""Of which every statement is searched for each; a file that holds more is no report of one patient."""
_SHORTEST_NAME = 2


def without_people(statements: Iterable[str], names: Iterable[str | None]) -> list[str]:
    """Those statements that speak of the heart: no "Confirmed by ...", none with a name or id that the file gives.

    names: what the file holds of names and ids, None and blanks among them. None is kept where there are too many.
    """
    told = [name[:_MOST_LETTERS] for name in itertools.islice(filter(None, names), _MOST_NAMES + 1)]
    if len(told) > _MOST_NAMES:
        return []
    words = {word.casefold() for name in told for word in (name.strip(), *re.split(r"[\s,;^]+", name))}
    held = [word for word in words if len(word) >= _SHORTEST_NAME]
    texts = (one[:_MOST_LETTERS] for one in itertools.islice(statements, _MOST_LINES))
    return [text for text in texts if text and not _names_somebody(text, held)]


def _names_somebody(text: str, words: list[str]) -> bool:
    folded = text.casefold()
    return _OF_PEOPLE.search(text) is not None or any(
        re.search(rf"(?<!\w){re.escape(word)}(?!\w)", folded) for word in words if word in folded
    )
