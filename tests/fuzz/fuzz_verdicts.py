"""What an input of a fuzzer may become, and what must hold of every refusal, whichever reader it comes from."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path

from inputs.errors import InputError
from inputs.guarded.messages import pack_error

_PEOPLE = ("Family", "MRN-4471", "SECRET")
"""What the seeds hold of a person."""
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Verdict:
    """kind: answered, refused, last_resort, elsewhere (another format took it, or none), below (the reader, asked
    past its recogniser, raised something else) or finding. what: which refusal, or where it was raised."""

    kind: str
    what: str = ""


class Finding(AssertionError):
    """An answer or a sentence that must not be."""


def place_of(error: BaseException) -> str:
    """The innermost line of the project that an error came through, and the package that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{_ROOT}/inputs/" in frame.filename]
    if not own:
        return "unknown"
    file = Path(own[-1].filename).relative_to(_ROOT)
    by = "" if frames[-1] is own[-1] else f", by {Path(frames[-1].filename).name}"
    return f"{file}:{own[-1].lineno}{by}"


def check_refusal(error: InputError) -> None:
    """Raises for a refusal that is not fit to be shown."""
    check_sentence(error.code, error.sentence)
    must(error.hint == "" or error.hint.endswith("."), f"a hint that is no sentence ({error.code})")
    pack_error(error)


def check_sentence(code: str, sentence: str) -> None:
    """Raises for a code or a sentence of a refusal or a warning that is not fit to be shown."""
    must(re.fullmatch("[a-z0-9_]{1,40}", code) is not None, "a code that is no word")
    must(re.fullmatch(r"[A-Z0-9][^\n]*\.", sentence) is not None, f"a sentence that is none ({code})")
    must(len(sentence) <= 400, f"a sentence of more than 400 letters ({code})")
    must(sentence.isprintable(), f"a sentence with control characters ({code})")
    must(not any(word in sentence for word in _PEOPLE), f"a sentence with a name ({code})")


def must(condition: bool, otherwise: str) -> None:
    """Raises Finding, which says `otherwise`, where the condition does not hold."""
    if not condition:
        raise Finding(otherwise)
