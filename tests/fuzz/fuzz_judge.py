"""What became of one input: answered, refused in a reader's own words, refused by the last resort, or a finding.

A finding is what no file may bring about: an error that is no InputError, an answer that is none, a sentence that is
not fit to be shown, ten seconds of a processor, or memory beyond the limit of the process.
"""

from __future__ import annotations

import math
import re
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzz_seeds import files_of, hints_of

from inputs.ecg.archive import unpack
from inputs.ecg.formats import FORMATS, EcgFormat
from inputs.ecg.formats.base import ABSURD_MV
from inputs.ecg.formats.not_read import ecg_if_not_read, name_if_not_read
from inputs.ecg.formats.xml import parse_xml, root_of
from inputs.ecg.leads import OTHER_LEADS, lead_from_name, leads_from_names
from inputs.ecg.read import read_ecg
from inputs.errors import InputError
from inputs.guarded.messages import pack_error, pack_recording
from inputs.limits import MAX_CHANNELS, MAX_SAMPLES, MAX_UNZIPPED_BYTES, MAX_VALUES, MAX_XML_ELEMENTS, MAX_ZIP_ENTRIES
from inputs.records import STANDARD_LEADS, EcgRecording, UploadedFile
from inputs.zipped import looks_like_zip

MOST_CPU_S = 10.0
MOST_RECOGNISING_S = 0.005
RECOGNISED_BYTES = 64 * 1024
_FORMATS = {ecg_format.name: ecg_format for ecg_format in FORMATS}
_PEOPLE = ("Family", "MRN-4471")
"""What the seeds hold of a person."""
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Verdict:
    """kind: answered, refused, last_resort, elsewhere (another format took it, or none), below (the reader, asked
    past its recogniser, raised something else) or finding. what: which refusal, or where it was raised."""

    kind: str
    what: str = ""


class _Finding(AssertionError):
    """An answer or a sentence that must not be."""


class TooLong(BaseException):
    """Of the clock that interrupts a reader; no handler of errors shall catch it."""


@contextmanager
def _clock() -> Iterator[None]:
    """Raises TooLong after half as long again as is allowed."""

    def interrupt(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1.5 * MOST_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def judged(target: str, data: bytes) -> Verdict:
    """What becomes of an input under a target: the name of a format, or one of OTHERS. Raises nothing."""
    started = time.process_time()
    try:
        with _clock():
            verdict = OTHERS[target](data) if target in OTHERS else _of_format(_FORMATS[target], data)
    except _Finding as error:
        return Verdict("finding", str(error))
    except MemoryError as error:
        return Verdict("finding", f"memory at {place_of(error)}")
    except TooLong as error:
        return Verdict("finding", f"time at {place_of(error)}")
    except Exception as error:
        return Verdict("finding", f"{type(error).__name__} at {place_of(error)}")
    spent = time.process_time() - started
    return Verdict("finding", f"time: more than {MOST_CPU_S:g} s") if spent > MOST_CPU_S else verdict


def place_of(error: BaseException) -> str:
    """The innermost line of the project that an error came through, and the package that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{_ROOT}/inputs/" in frame.filename]
    if not own:
        return "unknown"
    file = Path(own[-1].filename).relative_to(_ROOT)
    by = "" if frames[-1] is own[-1] else f", by {Path(frames[-1].filename).name}"
    return f"{file}:{own[-1].lineno}{by}"


def _of_format(ecg_format: EcgFormat, data: bytes) -> Verdict:
    files, hints = files_of(data), hints_of(data)
    if not ecg_format.recognises(files[0].data):
        return _below(ecg_format, files, data)
    try:
        recording = read_ecg(files, hints)
    except InputError as error:
        return _refused(error)
    check_recording(recording)
    return Verdict("answered" if recording.source_format == ecg_format.name else "elsewhere")


def _refused(error: InputError) -> Verdict:
    """In a reader's own words, or in those that `read_ecg` has for errors of others."""
    check_refusal(error)
    cause = error.__cause__
    if cause is None or "could not be read to the end" not in error.sentence:
        return Verdict("refused", error.code)
    return Verdict("last_resort", f"{type(cause).__name__} at {place_of(cause)}")


def _below(ecg_format: EcgFormat, files: list[UploadedFile], data: bytes) -> Verdict:
    """The reader itself, of a file that its recogniser does not know any more: it may raise what it likes."""
    if not data:
        return Verdict("elsewhere")
    try:
        ecg_format.read(files if ecg_format.companions else files[:1], hints_of(data))
    except InputError as error:
        check_refusal(error)
    except MemoryError:
        raise
    except Exception as error:
        return Verdict("below", f"{type(error).__name__} at {place_of(error)}")
    return Verdict("elsewhere")


def check_recording(recording: EcgRecording) -> None:
    """Raises for an answer that is none."""
    signal_mv, leads = recording.signal_mv, recording.lead_names
    _must(signal_mv.dtype == np.float32 and signal_mv.shape[0] == len(leads), "an answer of another shape")
    _must(0 < len(leads) <= MAX_CHANNELS and 0 < signal_mv.shape[1] <= MAX_SAMPLES, "an answer of an odd size")
    _must(signal_mv.size <= MAX_VALUES, "an answer of too many values")
    _must(set(leads) <= {*STANDARD_LEADS, *OTHER_LEADS}, "an unknown lead")
    _must(len(set(leads)) == len(leads), "a lead twice")
    _must(not np.isinf(signal_mv).any(), "an infinite sample")
    _must(not (np.abs(signal_mv) >= ABSURD_MV).any(), "an absurd sample")
    rate_hz = recording.rate_hz
    # Whether it is one of an ECG, preparation decides: 1e308 Hz is refused there.
    _must(isinstance(rate_hz, float) and 0 < rate_hz < math.inf, "a rate that is none")
    _must(recording.source_format in _FORMATS, "an unknown format")
    said = recording.said
    _must(said is None or all(math.isfinite(value) for _, value in said.measures), "a measure that is no number")
    for warning in recording.warnings:
        _check_sentence(warning.code, warning.message)
    pack_recording(recording)


def check_refusal(error: InputError) -> None:
    """Raises for a refusal that is not fit to be shown."""
    _check_sentence(error.code, error.sentence)
    _must(error.hint == "" or error.hint.endswith("."), f"a hint that is no sentence ({error.code})")
    pack_error(error)


def _check_sentence(code: str, sentence: str) -> None:
    _must(re.fullmatch("[a-z0-9_]{1,40}", code) is not None, "a code that is no word")
    _must(re.fullmatch(r"[A-Z0-9][^\n]*\.", sentence) is not None, f"a sentence that is none ({code})")
    _must(len(sentence) <= 400, f"a sentence of more than 400 letters ({code})")
    _must(sentence.isprintable(), f"a sentence with control characters ({code})")
    _must(not any(word in sentence for word in _PEOPLE), f"a sentence with a name ({code})")


def _must(condition: bool, otherwise: str) -> None:
    if not condition:
        raise _Finding(otherwise)


def _recognisers(data: bytes) -> Verdict:
    """All of them, on a file of at most 64 kB, and what tells formats that are not read."""
    data = data[:RECOGNISED_BYTES]
    claimed = []
    for ecg_format in FORMATS:
        if _quickly(ecg_format.recognises, data, f"{ecg_format.name}.recognises"):
            claimed.append(ecg_format.name)
        if ecg_format.confirms is not None:
            _quickly(ecg_format.confirms, data, f"{ecg_format.name}.confirms")
    for tells in (name_if_not_read, ecg_if_not_read):
        said = tells(data)
        _must(said is None or isinstance(said, str), "not_read says no name")
    if len(claimed) > 1:
        return Verdict("last_resort", "claimed by " + " and ".join(sorted(claimed)))
    return Verdict("answered" if claimed else "refused", *claimed)


def _quickly(tells: Callable[[bytes], bool], data: bytes, name: str) -> bool:
    answer, least = None, math.inf
    for _ in range(4):
        started = time.process_time()
        answer = tells(data)
        least = min(least, time.process_time() - started)
        if least < MOST_RECOGNISING_S:
            break
    _must(answer in (True, False), f"{name} says neither yes nor no")
    _must(least < MOST_RECOGNISING_S, f"{name} takes more than {1000 * MOST_RECOGNISING_S:g} ms")
    return bool(answer)


def _xml(data: bytes) -> Verdict:
    root = root_of(data)
    try:
        element = parse_xml(data)
    except InputError as error:
        check_refusal(error)
        return Verdict("refused", error.code)
    _must(sum(1 for _ in element.iter()) <= MAX_XML_ELEMENTS, "a tree of too many elements")
    # A root beyond the first 4096 bytes is not found, by design; one that is found must be the root.
    _must(root is None or root[0].rpartition(":")[2] == element.tag.rpartition(":")[2], "root_of names another root")
    return Verdict("answered" if root is not None else "elsewhere")


def _leads(data: bytes) -> Verdict:
    names = data.decode("utf-8", "surrogateescape").split("\n")
    found = [lead_from_name(name) for name in names]
    _must(all(lead is None or lead in (*STANDARD_LEADS, *OTHER_LEADS) for lead in found), "an unknown lead")
    _must(len(leads_from_names(names)) == len(names), "leads_from_names lost a name")
    return Verdict("answered" if any(found) else "refused")


def _zip(data: bytes) -> Verdict:
    """A zip as an upload. What `unpack` raises that is no refusal is seen as the last resort of `read_ecg`."""
    try:
        recording = read_ecg([UploadedFile("record.zip", data)], hints_of(data))
    except InputError as error:
        verdict = _refused(error)
    else:
        check_recording(recording)
        verdict = Verdict("answered")
    if looks_like_zip(data) and verdict.kind != "last_resort":
        with suppress(InputError):
            files = unpack(data)
            _must(0 < len(files) <= MAX_ZIP_ENTRIES, "a zip of too many files")
            _must(sum(len(file.data) for file in files) <= MAX_UNZIPPED_BYTES, "a zip of too many bytes")
            _must(not any("/" in file.name or file.name == ".." for file in files), "a file with a folder")
    return verdict


OTHERS: dict[str, Callable[[bytes], Verdict]] = {
    "recognisers": _recognisers,
    "xml": _xml,
    "leads": _leads,
    "zip": _zip,
}
"""What is fuzzed beside the formats."""
TARGETS = (*_FORMATS, *OTHERS)
