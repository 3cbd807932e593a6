"""WFDB records (PhysioNet): a text header and the signal files it names, all from one upload.

The header is read here first, strictly and within limits, because parsers open any file a header names and allocate
whatever it claims. `wfdb` then decodes the samples from a private folder, under names chosen here, by a header written
here. Layout: https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import contextlib
import errno
import math
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_size,
    checked_rate,
)
from inputs.ecg.formats.text import encoding_of, first_lines, number, told
from inputs.ecg.leads import lead_from_name
from inputs.errors import UnreadableFile, no_room
from inputs.limits import (
    MAX_WFDB_HEADER_BYTES,
    MAX_WFDB_SAMPLES_PER_FRAME,
    MAX_WFDB_SEGMENT_BYTES,
    MAX_WFDB_SEGMENTS,
)
from inputs.records import EcgRecording, InputWarning, ReadHints, UploadedFile

# Bits per sample; FLAC (5xx) is compressed and checked by its own decoder. Format 0, "no signal file", is refused.
_BITS = {8: 8, 16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 32 / 3, 311: 32 / 3}
_FLAC = (508, 516, 524)
_ENDINGS = (".dat", ".mat", ".hea")

_RECORD = re.compile(
    r"(?P<name>[-\w\ufffd]{1,200})(?:/(?P<segments>[0-9]{1,9}))?[ \t]+(?P<signals>[0-9]{1,9})"
    r"(?:[ \t]+(?P<rate>[-+.\w]{1,40})(?:/\S{0,80})?(?:[ \t]+(?P<samples>[0-9]+)(?:[ \t].{0,200})?)?)?[ \t]*"
)
_SIGNAL = re.compile(
    r"(?P<file>\S+)[ \t]+(?P<format>[0-9]{1,4})(?:x(?P<per_frame>[0-9]+))?(?::(?P<skew>[0-9]+))?"
    r"(?:\+(?P<offset>[0-9]+))?"
    r"(?:[ \t]+(?P<gain>[-+.\w]+)(?:\((?P<baseline>-?[0-9]{1,12})\))?(?:/(?P<unit>\S{1,40}))?"
    r"(?:[ \t]+(?P<resolution>-?[0-9]{1,4})(?:[ \t]+(?P<zero>-?[0-9]{1,12})(?:[ \t]+(?P<initial>-?[0-9]{1,12})"
    r"(?:[ \t]+(?P<checksum>-?[0-9]{1,12})(?:[ \t]+(?P<block>-?[0-9]{1,12})"
    r"(?:[ \t]+(?P<description>.*))?)?)?)?)?)?)?[ \t]*"
)
_SEGMENT = re.compile(r"(?P<name>~|[-\w]{1,200})[ \t]+(?P<samples>[0-9]{1,12})[ \t]*")


@dataclass(frozen=True)
class Signal:
    """One signal line of a header. `gain` is in counts per `unit`; `checksum` is None where the header has none."""

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

    announced: the number of signals on the record line.
    """

    rate_hz: float | None
    samples: int | None
    announced: int
    signals: tuple[Signal, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()


def looks_like_header(data: bytes) -> bool:
    """Whether the first line that is no comment is a WFDB record line."""
    return any(_RECORD.fullmatch(line.strip()) for line in first_lines(data, 1))


def describes_record(data: bytes) -> bool:
    """Whether a signal or a segment follows the record line: a note, too, may begin with a word and a number."""
    below = [line.strip() for line in first_lines(data, 2)[1:]]
    return any(_SIGNAL.fullmatch(line) or _SEGMENT.fullmatch(line) for line in below)


def named_files(data: bytes) -> tuple[str, ...]:
    """The files that a header needs beside itself, checked to be plain names."""
    header = parse_header(data)
    if header.segments:
        return tuple(dict.fromkeys(f"{name}.hea" for name, _ in header.segments if name != "~"))
    return tuple(dict.fromkeys(signal.file for signal in header.signals))


def parse_header(data: bytes) -> Header:
    """Read a header strictly. Raises UnreadableFile; counts are within limits afterwards."""
    if len(data) > MAX_WFDB_HEADER_BYTES:
        raise UnreadableFile("unreadable_file", "The WFDB header is too large.")
    lines = _lines(data)
    match = _RECORD.fullmatch(lines[0]) if lines else None
    if match is None:
        raise UnreadableFile("unreadable_file", "The WFDB header does not start with a record line.")
    count = int(match["signals"])
    samples = _count(match["samples"]) if match["samples"] else None
    check_size(count, samples or 0)
    rate_hz = checked_rate(_number(match["rate"])) if match["rate"] else None
    if match["segments"]:
        return Header(rate_hz, samples or None, count, segments=_parse_segments(lines[1:], int(match["segments"])))
    if len(lines) - 1 != count or count == 0:
        raise UnreadableFile(
            "unreadable_file", f"The WFDB header announces {count} signals and describes {len(lines) - 1}."
        )
    header = Header(rate_hz, samples or None, count, tuple(_parse_signal(line) for line in lines[1:]))
    check_size(count, (samples or 0) * max(signal.per_frame for signal in header.signals))
    return header


def _lines(data: bytes) -> list[str]:
    """Those of a header that are neither blank nor comments."""
    return [line.strip() for line in told(data.decode(encoding_of(data), "replace").splitlines())]


def _parse_segments(lines: Sequence[str], announced: int) -> tuple[tuple[str, int], ...]:
    if announced != len(lines) or not 1 <= announced <= MAX_WFDB_SEGMENTS:
        raise UnreadableFile(
            "unreadable_file",
            f"The WFDB header announces {announced} segments and describes {len(lines)} (at most {MAX_WFDB_SEGMENTS}).",
        )
    matches = [_SEGMENT.fullmatch(line) for line in lines]
    segments = tuple((match["name"], int(match["samples"])) for match in matches if match is not None)
    if len(segments) != len(lines):
        raise UnreadableFile("unreadable_file", "A segment line of the WFDB header is malformed.")
    if segments[0][1] == 0:
        raise UnreadableFile(
            "unsupported_format",
            "This is a WFDB record of variable layout, which is not read.",
            hint="Export the wanted 10 s as a record of its own.",
        )
    return segments


def _parse_signal(line: str) -> Signal:
    match = _SIGNAL.fullmatch(line)
    if match is None:
        raise UnreadableFile("unreadable_file", "A signal line of the WFDB header is malformed.")
    if re.fullmatch(r"\w[-\w]*(\.\w+)?", match["file"]) is None:
        raise UnreadableFile(
            "file_not_in_upload",
            "The WFDB header names a file outside of this upload.",
            hint="A header may name only files that come with it, without folders.",
        )
    format_ = int(match["format"])
    if format_ not in _BITS and format_ not in _FLAC:
        raise UnreadableFile("unsupported_format", f"WFDB signal format {format_} is not read.")
    per_frame = _count(match["per_frame"] or "1")
    if not 1 <= per_frame <= MAX_WFDB_SAMPLES_PER_FRAME:
        raise UnreadableFile("unreadable_file", "The WFDB header has an impossible number of samples per frame.")
    # A gain that is absent or 0 means "uncalibrated", for which the format prescribes 200 per millivolt.
    gain = _number(match["gain"]) if match["gain"] else 0.0
    zero = int(match["zero"] or 0)
    if not math.isfinite(gain):
        raise UnreadableFile("unreadable_file", "A gain in the WFDB header is not a number.")
    return Signal(
        file=match["file"],
        format=format_,
        per_frame=per_frame,
        skew=_count(match["skew"] or "0"),
        offset=_count(match["offset"] or "0"),
        gain=gain,
        baseline=int(match["baseline"]) if match["baseline"] is not None else zero,
        initial=int(match["initial"] or 0),
        unit=match["unit"] or "mV",
        checksum=int(match["checksum"]) if match["checksum"] is not None else None,
        lead=lead_from_name(match["description"] or ""),
    )


def read_wfdb(files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording:
    """Read a record: its header first, then signal and segment files, from there and from nowhere else.

    `hints.rate_hz` serves a header that states none, and may only confirm another. Raises UnreadableFile.
    """
    return _read_record(files[0].data, {file.name: file.data for file in files}, hints.rate_hz)


def _read_record(header: bytes, parts: Mapping[str, bytes], rate_hz: float | None) -> EcgRecording:
    parsed = parse_header(header)
    if parsed.segments:
        parsed, samples, input_warnings = _read_segments(parsed, parts)
    else:
        samples, input_warnings = _read_signals(*_with_files(parsed, parts))
    frame_rate_hz = parsed.rate_hz or rate_hz
    if frame_rate_hz is None:
        raise UnreadableFile(
            "rate_missing", "The WFDB header states no sampling rate.", hint="Add the parameter rate_hz."
        )
    rates = {signal.per_frame for signal in parsed.signals if signal.lead is not None}
    if len(rates) > 1:
        raise UnreadableFile("mixed_rates", "The ECG leads of this record have different sampling rates.")
    lead_rate_hz = frame_rate_hz * max(rates, default=1)
    if parsed.rate_hz is not None:
        lead_rate_hz = agreed_rate(rate_hz, lead_rate_hz)
    channels = [Channel(s.lead, s.unit, values) for s, values in zip(parsed.signals, samples, strict=True)]
    return build_recording(channels, lead_rate_hz, "wfdb", input_warnings)


def _read_segments(
    master: Header, parts: Mapping[str, bytes]
) -> tuple[Header, list[NDArray[np.float64]], list[InputWarning]]:
    """Join the segments of a fixed-layout record; a null segment becomes missing samples.

    What the master header states is held to what its segments are.
    """
    headers = {}
    for name, _ in master.segments:
        if name != "~" and name not in headers:
            headers[name] = parse_header(_part(parts, f"{name}.hea"))
            if headers[name].segments:
                raise UnreadableFile("unreadable_file", "A segment of the WFDB record has segments itself.")
    if not headers:
        raise UnreadableFile("signal_empty", "The WFDB record holds no sample.")
    first = next(iter(headers.values()))
    layout = [(s.lead, s.unit, s.per_frame) for s in first.signals]
    pieces: list[list[NDArray[np.float64]]] = [[] for _ in layout]
    input_warnings: list[InputWarning] = []
    total = sum(length for _, length in master.segments)
    check_size(len(layout), total * max(s.per_frame for s in first.signals))
    stated_and_true = (
        (master.announced, len(layout)), (master.samples, total), (master.rate_hz, first.rate_hz),
    )  # fmt: skip
    if any(None not in pair and pair[0] != pair[1] for pair in stated_and_true):
        raise UnreadableFile(
            "unreadable_file", "The WFDB header contradicts its segments: in length, rate or number of signals."
        )
    lengths = {name: length for name, length in master.segments if name != "~"}
    whole = {}
    for name, header in headers.items():
        if [(s.lead, s.unit, s.per_frame) for s in header.signals] != layout or header.rate_hz != first.rate_hz:
            raise UnreadableFile("unreadable_file", "The segments of this WFDB record do not have the same signals.")
        whole[name] = header, data = _with_files(header, parts)
        if header.samples != lengths[name]:  # before anything is read: thirty small headers may name one large file
            raise _other_length()
    if sum(len(content) for _, data in whole.values() for content in data.values()) > MAX_WFDB_SEGMENT_BYTES:
        raise UnreadableFile("too_long", "The segments of this WFDB record name the same large files again and again.")
    read = {}
    for name, (header, data) in whole.items():
        read[name], in_segment = _read_signals(header, data)
        input_warnings += [warning for warning in in_segment if warning not in input_warnings]
    for name, length in master.segments:
        for index, signal in enumerate(first.signals):
            expected = length * signal.per_frame
            piece = np.full(expected, np.nan) if name == "~" else read[name][index]
            if len(piece) != expected:
                raise _other_length()
            pieces[index].append(piece)
    joined = replace(first, rate_hz=master.rate_hz or first.rate_hz)
    return joined, [np.concatenate(piece) for piece in pieces], input_warnings


def _other_length() -> UnreadableFile:
    return UnreadableFile("length_mismatch", "A segment of the WFDB record has not the announced length.")


def _with_files(header: Header, parts: Mapping[str, bytes]) -> tuple[Header, Mapping[str, bytes]]:
    """The header of a single-segment record with its length, and the files that it names, long enough for it."""
    data = {signal.file: _part(parts, signal.file) for signal in header.signals}
    return _with_length(header, data), data


def _read_signals(header: Header, data: Mapping[str, bytes]) -> tuple[list[NDArray[np.float64]], list[InputWarning]]:
    """Physical samples of each signal of a single-segment record, NaN where the format marks them invalid."""
    files = list(data)
    header, data = _little_endian(header, data)
    contents = {f"{place}.dat": data[file] for place, file in enumerate(files)}
    contents["0.hea"] = _rewritten(header, files).encode()
    with warnings.catch_warnings(), _written(contents) as folder:
        warnings.simplefilter("ignore")  # wfdb is imported with calls that pandas deprecates
        import wfdb  # a third of a second, which readers of other formats need not pay

        record = wfdb.rdrecord(str(folder / "0"), physical=False, smooth_frames=False)
    input_warnings = []
    if not any(signal.skew for signal in header.signals):
        computed = record.calc_checksum(expanded=True)
        stated = [signal.checksum for signal in header.signals]
        if any(s is not None and (s - c) % 65536 for s, c in zip(stated, computed, strict=True)):
            message = "Samples do not match the checksums of the header: the files may not belong together."
            input_warnings.append(InputWarning("checksum_mismatch", message))
    if any(signal.gain == 0 and signal.lead for signal in header.signals):
        input_warnings.append(
            InputWarning("gain_assumed", "The header states no gain: the format's 200 per mV was used.")
        )
    physical = record.dac(expanded=True)
    return list(physical), input_warnings


@contextlib.contextmanager
def _written(contents: Mapping[str, bytes]) -> Iterator[Path]:
    """A temporary folder with these files. Where it cannot be had, or goes while it is used, no upload is at fault.

    Raises OSError with one of NO_ROOM_TO_READ; EFBIG stays what it is.
    """
    try:
        folder = Path(tempfile.mkdtemp())
    except OSError as error:
        raise no_room(error) from error
    try:
        try:
            for name, content in contents.items():
                (folder / name).write_bytes(content)
        except OSError as error:
            raise error if error.errno == errno.EFBIG else no_room(error) from error
        try:
            yield folder
        except Exception as error:
            if all((folder / name).exists() for name in contents):
                raise
            raise OSError(errno.ENOSPC, "no temporary files can be kept") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _little_endian(header: Header, data: Mapping[str, bytes]) -> tuple[Header, Mapping[str, bytes]]:
    """Format 61 (big-endian) as format 16: wfdb 4.3 fails to return its samples unsmoothed."""
    data = dict(data)
    for file, offset in {(s.file, s.offset) for s in header.signals if s.format == 61}:
        counts = np.frombuffer(data[file], ">i2", (len(data[file]) - offset) // 2, offset)
        data[file] = data[file][:offset] + counts.astype("<i2").tobytes()
    signals = tuple(replace(s, format=16) if s.format == 61 else s for s in header.signals)
    return replace(header, signals=signals), data


def _with_length(header: Header, data: Mapping[str, bytes]) -> Header:
    """The header with its length, taken from the first file where not stated; refuses files that are too short."""
    samples = header.samples
    for file, content in data.items():
        group = [signal for signal in header.signals if signal.file == file]
        first = group[0]
        if len({(signal.format, signal.offset) for signal in group}) > 1:
            raise UnreadableFile("unreadable_file", "The signals of one WFDB file have different formats.")
        if first.format in _FLAC:
            if samples is None:
                raise UnreadableFile("unreadable_file", "The WFDB header states no length for a compressed record.")
            continue
        per_frame = sum(signal.per_frame for signal in group)
        held = int((len(content) - first.offset) * 8 / _BITS[first.format]) // per_frame
        if samples is None:
            samples = held
            check_size(len(header.signals), samples * max(signal.per_frame for signal in header.signals))
        if held < samples or held <= 0:
            raise UnreadableFile(
                "truncated", f"A signal file holds {max(held, 0)} samples per lead; its header announces {samples}."
            )
    assert samples is not None
    if any(signal.skew >= samples for signal in header.signals):
        raise UnreadableFile("unreadable_file", "The WFDB header has an impossible skew.")
    return replace(header, samples=samples)


def _rewritten(header: Header, files: Sequence[str]) -> str:
    """The same header with our file names and without its free text."""
    lines = [f"0 {len(header.signals)} {header.rate_hz or 1:.17g} {header.samples}"]
    for place, s in enumerate(header.signals):
        layout = f"{s.format}x{s.per_frame}:{s.skew}+{s.offset}"
        gain = f"{s.gain or 200.0:.17g}({s.baseline})/mV"
        lines.append(f"{files.index(s.file)}.dat {layout} {gain} 0 0 {s.initial} 0 0 {place}")
    return "\n".join(lines) + "\n"


def _part(parts: Mapping[str, bytes], name: str) -> bytes:
    if name not in parts:
        ending = name[-4:].lower()  # the rest of a name may be a patient's
        kind = ending if ending in _ENDINGS else "signal"
        raise UnreadableFile(
            "file_missing",
            f"The WFDB header names a {kind} file that is not part of the upload.",
            hint="Send the header together with all files it names, or as one zip.",
        )
    return parts[name]


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


WFDB = EcgFormat(
    "wfdb", looks_like_header, read_wfdb, states_itself=True, companions=named_files, confirms=describes_record
)
