"""What became of one input: answered, refused in a reader's own words, refused by the last resort, or a finding.

A finding is what no file may bring about: an error that is no InputError, an answer that is none, a sentence that is
not fit to be shown, ten seconds of a processor, or memory beyond the limit of the process.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import fuzz_echo
import numpy as np
from fuzz_seeds import files_of, hints_of
from fuzz_verdicts import Finding, Verdict, check_refusal, check_sentence, must, place_of

from inputs.ecg.archive import unpack
from inputs.ecg.formats import FORMATS, EcgFormat
from inputs.ecg.formats.base import ABSURD_MV
from inputs.ecg.formats.not_read import ecg_if_not_read, name_if_not_read
from inputs.ecg.formats.xml import parse_xml, root_of
from inputs.ecg.leads import OTHER_LEADS, lead_from_name, leads_from_names
from inputs.ecg.read import read_ecg
from inputs.errors import InputError
from inputs.guarded.messages import pack_recording
from inputs.limits import MAX_CHANNELS, MAX_SAMPLES, MAX_UNZIPPED_BYTES, MAX_VALUES, MAX_XML_ELEMENTS, MAX_ZIP_ENTRIES
from inputs.records import STANDARD_LEADS, EcgRecording, UploadedFile
from inputs.zipped import looks_like_zip

MOST_CPU_S = 10.0
MOST_RECOGNISING_S = 0.005
RECOGNISED_BYTES = 64 * 1024
_FORMATS = {ecg_format.name: ecg_format for ecg_format in FORMATS}


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
    except Finding as error:
        return Verdict("finding", str(error))
    except MemoryError as error:
        return Verdict("finding", f"memory at {place_of(error)}")
    except TooLong as error:
        return Verdict("finding", f"time at {place_of(error)}")
    except Exception as error:
        return Verdict("finding", f"{type(error).__name__} at {place_of(error)}")
    spent = time.process_time() - started
    return Verdict("finding", f"time: more than {MOST_CPU_S:g} s") if spent > MOST_CPU_S else verdict


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
    must(signal_mv.dtype == np.float32 and signal_mv.shape[0] == len(leads), "an answer of another shape")
    must(0 < len(leads) <= MAX_CHANNELS and 0 < signal_mv.shape[1] <= MAX_SAMPLES, "an answer of an odd size")
    must(signal_mv.size <= MAX_VALUES, "an answer of too many values")
    must(set(leads) <= {*STANDARD_LEADS, *OTHER_LEADS}, "an unknown lead")
    must(len(set(leads)) == len(leads), "a lead twice")
    must(not np.isinf(signal_mv).any(), "an infinite sample")
    must(not (np.abs(signal_mv) >= ABSURD_MV).any(), "an absurd sample")
    rate_hz = recording.rate_hz
    # Whether it is one of an ECG, preparation decides: 1e308 Hz is refused there.
    must(isinstance(rate_hz, float) and 0 < rate_hz < math.inf, "a rate that is none")
    must(recording.source_format in _FORMATS, "an unknown format")
    said = recording.said
    must(said is None or all(math.isfinite(value) for _, value in said.measures), "a measure that is no number")
    for warning in recording.warnings:
        check_sentence(warning.code, warning.message)
    pack_recording(recording)


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
        must(said is None or isinstance(said, str), "not_read says no name")
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
    must(answer in (True, False), f"{name} says neither yes nor no")
    must(least < MOST_RECOGNISING_S, f"{name} takes more than {1000 * MOST_RECOGNISING_S:g} ms")
    return bool(answer)


def _xml(data: bytes) -> Verdict:
    root = root_of(data)
    try:
        element = parse_xml(data)
    except InputError as error:
        check_refusal(error)
        return Verdict("refused", error.code)
    must(sum(1 for _ in element.iter()) <= MAX_XML_ELEMENTS, "a tree of too many elements")
    # A root beyond the first 4096 bytes is not found, by design; one that is found must be the root.
    must(root is None or root[0].rpartition(":")[2] == element.tag.rpartition(":")[2], "root_of names another root")
    return Verdict("answered" if root is not None else "elsewhere")


def _leads(data: bytes) -> Verdict:
    names = data.decode("utf-8", "surrogateescape").split("\n")
    found = [lead_from_name(name) for name in names]
    must(all(lead is None or lead in (*STANDARD_LEADS, *OTHER_LEADS) for lead in found), "an unknown lead")
    must(len(leads_from_names(names)) == len(names), "leads_from_names lost a name")
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
            must(0 < len(files) <= MAX_ZIP_ENTRIES, "a zip of too many files")
            must(sum(len(file.data) for file in files) <= MAX_UNZIPPED_BYTES, "a zip of too many bytes")
            must(not any("/" in file.name or file.name == ".." for file in files), "a file with a folder")
    return verdict


OTHERS: dict[str, Callable[[bytes], Verdict]] = {
    "recognisers": _recognisers,
    "xml": _xml,
    "leads": _leads,
    "zip": _zip,
    **fuzz_echo.JUDGES,
}
"""What is fuzzed beside the formats."""
TARGETS = (*_FORMATS, *OTHERS)
