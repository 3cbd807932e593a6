"""WFDB headers (PhysioNet): text that says which signal files a record has and how they are stored.

They are read here, strictly and within limits, because parsers open any file a header names and allocate whatever it
claims. Layout: https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from inputs.ecg.formats.base import check_size, checked_rate
from inputs.ecg.formats.text import encoding_of, first_lines, number, rows_of_numbers, told
from inputs.ecg.leads import leads_from_names
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS, MAX_WFDB_HEADER_BYTES, MAX_WFDB_SAMPLES_PER_FRAME, MAX_WFDB_SEGMENTS

NO_FILE = 0
"""The format of a signal that has no samples in this record, though it may have in others of the same layout."""
BITS = {8: 8, 16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 32 / 3, 311: 32 / 3}
"""Bits that a sample takes in a signal file, by its format."""
FLAC = (508, 516, 524)
"""Formats that are compressed."""

_NUMBER = r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?"
_RECORD = re.compile(
    r"(?P<name>[-\w\ufffd./\\]{1,200}?)(?:/(?P<segments>[0-9]{1,9}))?[ \t]+(?P<signals>[0-9]{1,9})"
    r"(?:[ \t]+(?P<rate>[-+.\w]{1,40})(?:/\S{0,80})?"
    r"(?:[ \t]+(?P<samples>[0-9]+)(?:[ \t]+(?P<rest>\S.{0,200})?)?)?)?[ \t]*"
)
_SIGNAL = re.compile(
    r"(?P<file>\S+)[ \t]+(?P<format>[0-9]{1,4})(?:x(?P<per_frame>[0-9]+))?(?::(?P<skew>[0-9]+))?"
    r"(?:\+(?P<offset>[0-9]+))?"
    rf"(?:[ \t]+(?P<gain>[-+.\w]+)(?:\((?P<baseline>{_NUMBER})\))?(?:/(?P<unit>\S{{1,40}}))?"
    rf"(?:[ \t]+(?P<resolution>{_NUMBER})(?:[ \t]+(?P<zero>{_NUMBER})(?:[ \t]+(?P<initial>{_NUMBER})"
    rf"(?:[ \t]+(?P<checksum>{_NUMBER})(?:[ \t]+(?P<block>{_NUMBER})"
    r"(?:[ \t]+(?P<description>.*))?)?)?)?)?)?)?[ \t]*"
)
_SIGNAL_BEGUN = re.compile(r"\S*\.[a-z]\w{0,9}[ \t]+[0-9]{1,4}(?:[x:+ \t].*)?", re.IGNORECASE)
"""What a damaged signal line still has: a file with its ending, and a format."""
_ENDING = re.compile(r"\.[a-z]\w{0,9}$", re.IGNORECASE)
_SEGMENT = re.compile(r"(?P<name>~|[-\w./\\]{1,200})[ \t]+(?P<samples>[0-9]{1,12})[ \t]*")
_PLAIN = re.compile(r"(?:[-\w.]+[/\\])*(?P<base>\w[-\w]*(?:\.[-\w]+)*)")
"""A name, perhaps in folders. Only what follows the last of them is ever looked for, and only in the upload."""
_TIME = re.compile(r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.[0-9]{1,9})?")
_DATE = re.compile(r"(?P<day>[0-9]{1,2})/(?P<month>[0-9]{1,2})/(?P<year>[0-9]{4})")
_DECIMAL = re.compile(r"[-+]?[0-9]*\.[0-9]*(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_PREFIX = re.compile(r"^e[ck]g[-_:](?=\w)", re.IGNORECASE)


@dataclass(frozen=True)
class Signal:
    """One signal line of a header. `gain` is in counts per `unit`; `checksum` is None where the header has none.

    file: a plain name. lead: our name, None where it is no ECG lead that we know.
    """

    file: str
    format: int
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    initial: int
    unit: str
    checksum: int | None
    lead: str | None


@dataclass(frozen=True)
class Header:
    """One header. `rate_hz` counts frames and is None where not stated; so is `samples` (frames).

    announced: the number of signals on the record line. segments: names and lengths (frames), "~" for a gap.
    recorded_at: ISO 8601, None where it has no date.
    """

    rate_hz: float | None
    samples: int | None
    announced: int
    signals: tuple[Signal, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()
    recorded_at: str | None = None

    @property
    def layout(self) -> str | None:
        """Of a record whose segments differ in their signals, the segment of no length that lists them all."""
        return self.segments[0][0] if self.segments and self.segments[0][1] == 0 else None


def looks_like_header(data: bytes) -> bool:
    """Whether the first line that is no comment is a WFDB record line, and one below it begins as a signal line does.

    Rows of numbers are a table. A note, too, may begin with a word and a number, as in `HR 72 bpm`.
    """
    record, below = _lines_of_record(data)
    return record is not None and (_describes(record, below) or any(map(_SIGNAL_BEGUN.fullmatch, below)))


def describes_record(data: bytes) -> bool:
    """Whether the lines are a WFDB header beyond doubt, though its numbers may be wrong."""
    record, below = _lines_of_record(data)
    return record is not None and _describes(record, below)


def _lines_of_record(data: bytes) -> tuple[re.Match[str] | None, list[str]]:
    """The record line, None where there is none, and those below it, as many as any record has signals."""
    first = first_lines(data, 1)
    match = _RECORD.fullmatch(_uncommented(first[0])) if first else None
    if match is None or _DECIMAL.fullmatch(match["name"]) is not None or rows_of_numbers(data):
        return None, []
    return match, [_uncommented(line) for line in first_lines(data, MAX_CHANNELS + 2)[1:]]


def _describes(record: re.Match[str], below: Sequence[str]) -> bool:
    """Whether a signal line names a file with its ending, or all are there that the record line announces."""
    if record["segments"] and any(map(_SEGMENT.fullmatch, below)):
        return True
    signals = [match for line in below if (match := _SIGNAL.fullmatch(line)) and _is_number(match["gain"])]
    if any(_ENDING.search(match["file"]) for match in signals):
        return True
    return len(signals) == len(below) == int(record["signals"]) > 0 and _is_number(record["rate"])


def _is_number(text: str | None) -> bool:
    """Whether what may be left out is a number where it is not."""
    if text is None:
        return True
    try:
        number(text)
    except ValueError:
        return False
    return True


def named_files(data: bytes) -> tuple[str, ...]:
    """The files that a header needs beside itself, as plain names: without the folders in which it puts them."""
    header = parse_header(data)
    if header.segments:
        return tuple(dict.fromkeys(f"{name}.hea" for name, _ in header.segments if name != "~"))
    return tuple(dict.fromkeys(signal.file for signal in header.signals if signal.format != NO_FILE))


def parse_header(data: bytes) -> Header:
    """Read a header strictly. Raises UnreadableFile.

    The number of signals is within limits afterwards; the length is not, for a stretch may be chosen of it.
    """
    if len(data) > MAX_WFDB_HEADER_BYTES:
        raise UnreadableFile("unreadable_file", "The WFDB header is too large.")
    lines = [_uncommented(line) for line in told(data.decode(encoding_of(data), "replace").splitlines())]
    match = _RECORD.fullmatch(lines[0]) if lines else None
    if match is None:
        raise UnreadableFile("unreadable_file", "The WFDB header does not start with a record line.")
    count, below = int(match["signals"]), lines[1:]
    check_size(count, 0)
    samples = (_count(match["samples"]) or None) if match["samples"] else None
    rate_hz = checked_rate(_number(match["rate"])) if match["rate"] else None
    recorded_at = _recorded_at(match["rest"] or "")
    if match["segments"] and not _is_folder(below, count):
        segments = _parse_segments(below, int(match["segments"]))
        return Header(rate_hz, samples, count, segments=segments, recorded_at=recorded_at)
    if len(below) != count or count == 0:
        raise UnreadableFile(
            "unreadable_file", f"The WFDB header announces {count} signals and describes {len(below)}."
        )
    return Header(rate_hz, samples, count, _parse_signals(below), recorded_at=recorded_at)


def _uncommented(line: str) -> str:
    """A line without what follows a # behind a blank, as some writers append it."""
    for mark in (" #", "\t#"):
        line = line.partition(mark)[0]
    return line.strip()


def _is_folder(lines: Sequence[str], signals: int) -> bool:
    """Whether the number behind a slash is a record's name in a folder and no number of segments: signals follow."""
    return len(lines) == signals and not any(_SEGMENT.fullmatch(line) for line in lines)


def _recorded_at(text: str) -> str | None:
    """Time and date behind the length of a record, as ISO 8601."""
    words = text.split()
    at, on = (_TIME.fullmatch(words[0]), _DATE.fullmatch(words[1])) if len(words) > 1 else (None, None)
    if at is None or on is None:
        return None
    day = f"{on['year']}-{int(on['month']):02}-{int(on['day']):02}"
    return f"{day}T{int(at['hour']):02}:{at['minute']}:{at['second']}"


def _parse_segments(lines: Sequence[str], announced: int) -> tuple[tuple[str, int], ...]:
    if announced != len(lines) or not 1 <= announced <= MAX_WFDB_SEGMENTS:
        raise UnreadableFile(
            "unreadable_file",
            f"The WFDB header announces {announced} segments and describes {len(lines)} (at most {MAX_WFDB_SEGMENTS}).",
        )
    matches = [_SEGMENT.fullmatch(line) for line in lines]
    segments = tuple(
        (match["name"] if match["name"] == "~" else _plain(match["name"]), int(match["samples"]))
        for match in matches
        if match is not None
    )
    if len(segments) != len(lines):
        raise UnreadableFile("unreadable_file", "A segment line of the WFDB header is malformed.")
    if segments[0] == ("~", 0) or any(length == 0 for _, length in segments[1:]):
        raise UnreadableFile("unreadable_file", "A segment of the WFDB record has no length.")
    return segments


def _parse_signals(lines: Sequence[str]) -> tuple[Signal, ...]:
    matches = [_SIGNAL.fullmatch(line) for line in lines]
    found = [match for match in matches if match is not None]
    if len(found) != len(lines):
        raise UnreadableFile("unreadable_file", "A signal line of the WFDB header is malformed.")
    leads = leads_of([match["description"] or "" for match in found])
    return tuple(_parse_signal(match, lead) for match, lead in zip(found, leads, strict=True))


def leads_of(descriptions: Sequence[str]) -> tuple[str | None, ...]:
    """The lead that each signal's description names, None where it is none."""
    return leads_from_names([_PREFIX.sub("", description.strip(), count=1) for description in descriptions])


def _parse_signal(match: re.Match[str], lead: str | None) -> Signal:
    format_ = int(match["format"])
    if format_ != NO_FILE and format_ not in BITS and format_ not in FLAC:
        raise UnreadableFile("unsupported_format", f"WFDB signal format {format_} is not read.")
    per_frame = _count(match["per_frame"] or "1")
    if not 1 <= per_frame <= MAX_WFDB_SAMPLES_PER_FRAME:
        raise UnreadableFile("unreadable_file", "The WFDB header has an impossible number of samples per frame.")
    # A gain that is absent or 0 means "uncalibrated", for which the format allows to assume 200 per unit.
    gain = _number(match["gain"]) if match["gain"] else 0.0
    if not math.isfinite(gain):
        raise UnreadableFile("unreadable_file", "A gain in the WFDB header is not a number.")
    zero = _whole(match["zero"], "ADC zero") or 0
    baseline, initial = _whole(match["baseline"], "baseline"), _whole(match["initial"], "initial value")
    return Signal(
        file="" if format_ == NO_FILE else _plain(match["file"]),
        format=format_,
        per_frame=per_frame,
        skew=_count(match["skew"] or "0"),
        offset=_count(match["offset"] or "0"),
        gain=gain,
        baseline=zero if baseline is None else baseline,
        initial=zero if initial is None else initial,
        unit=match["unit"] or "mV",
        checksum=_whole(match["checksum"], "checksum"),
        lead=lead,
    )


def _plain(name: str) -> str:
    """A name without its folders. Raises UnreadableFile for one that leads out of the upload."""
    match = _PLAIN.fullmatch(name)
    folders = re.split(r"[/\\]", name)[:-1]
    if match is None or any(set(folder) == {"."} for folder in folders):
        raise UnreadableFile(
            "file_not_in_upload",
            "The WFDB header names a file outside of this upload.",
            hint="A header may name only files that come with it.",
        )
    return match["base"]


def _whole(text: str | None, what: str) -> int | None:
    """A count that some writers give decimals, as in 0.0; other than zeros these have no meaning in the format."""
    if text is None:
        return None
    digits, _, decimals = text.partition(".")
    if decimals.strip("0"):
        raise UnreadableFile("unreadable_file", f"A number in the WFDB header ({what}) is not a whole one.")
    return int(digits)


def _count(digits: str) -> int:
    """A count with a bound on its digits: int() itself refuses 5000 of them with an error about its own limits."""
    if len(digits) > 12:
        raise UnreadableFile("unreadable_file", "A number in the WFDB header is impossibly large.")
    return int(digits)


def _number(text: str) -> float:
    try:
        return number(text)
    except ValueError:
        raise UnreadableFile("unreadable_file", "A number in the WFDB header is malformed.") from None
