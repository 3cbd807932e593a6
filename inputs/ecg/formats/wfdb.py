"""WFDB records (PhysioNet): a text header and the signal files it names, all from one upload.

The header is read by `inputs.ecg.formats.wfdb_header`. `wfdb` then decodes the samples from a private folder, under
names chosen here, by a header written here. Every storage format that `wfdb` decodes is read, in one segment or many.
Layout: https://physionet.org/physiotools/wag/header-5.htm and https://physionet.org/physiotools/wag/signal-5.htm
"""

from __future__ import annotations

import contextlib
import errno
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
    stretch,
)
from inputs.ecg.formats.companions import check_fetched, fitting
from inputs.ecg.formats.given import named_as_given, names_hint, other_unit
from inputs.ecg.formats.wfdb_header import (
    BITS,
    FLAC,
    NO_FILE,
    Header,
    Signal,
    describes_record,
    looks_like_header,
    named_files,
    parse_header,
)
from inputs.ecg.formats.wfdb_segments import Piece, check_belong_together, check_segment, joined, pieces_of
from inputs.ecg.said import device_said
from inputs.errors import UnreadableFile, no_room
from inputs.limits import MAX_WFDB_SEGMENT_BYTES
from inputs.records import STANDARD_LEADS, EcgRecording, InputWarning, ReadHints, UploadedFile

__all__ = ["WFDB", "named_files", "read_wfdb"]

_ENDINGS = (".dat", ".mat", ".hea")
_MATLAB_5 = b"MATLAB 5.0"
_VAL_IN_MATLAB_4 = b"\0\0\0\0\4\0\0\0val\0"
_STREAM_INFO = slice(18, 26)
"""Where a FLAC file says its channels, bits and, in the last 36 bits, samples (RFC 9639, 8.2)."""


@dataclass(frozen=True)
class _Samples:
    """Physical samples of each of `signals`, in its unit, NaN where missing; those that are no leads may have none."""

    signals: tuple[Signal, ...]
    rows: list[NDArray[np.float64]]
    rate_hz: float
    warnings: list[InputWarning]


def read_wfdb(files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording:
    """Read a record: its header first, then signal and segment files, from there and from nowhere else.

    Leads are read at their own rate, however many samples a frame of the file has. `hints.rate_hz` serves a header that
    states none, and may only confirm another; `start_s` and `length_s` choose a stretch. Raises UnreadableFile.
    """
    header = parse_header(files[0].data)
    read = _read_segments(header, files, hints) if header.segments else _read_one(header, files, hints)
    channels = [Channel(s.lead, s.unit, row) for s, row in zip(read.signals, read.rows, strict=True)]
    said = device_said(recorded_at=header.recorded_at)
    warnings = [*read.warnings, *other_unit(hints.unit, channels)]
    return build_recording(channels, read.rate_hz, "wfdb", warnings, said=said)


def _named(header: Header, hints: ReadHints) -> tuple[Header, list[InputWarning]]:
    """The header with leads for the channels that it names otherwise, as they are given. Raises UnreadableFile."""
    if header.segments:
        return header, []  # a segment that has such is refused elsewhere
    leads, given = named_as_given("The WFDB record", [signal.lead for signal in header.signals], hints)
    if not any(leads):
        raise UnreadableFile(
            "leads_missing",
            f"None of the {len(leads)} channels of the WFDB record is named as an ECG lead.",
            hint=f"Channels are found by name: I, II, III, aVR, aVL, aVF, V1 to V6. {names_hint(len(leads))}",
            leads=STANDARD_LEADS,
        )
    signals = tuple(replace(signal, lead=lead) for signal, lead in zip(header.signals, leads, strict=True))
    return replace(header, signals=signals), given


def _rates(signals: Sequence[Signal], frame_rate_hz: float | None, hints: ReadHints) -> tuple[float, float]:
    """Frames and samples of a lead per second. Leads of different rates are refused; other signals may differ."""
    leads_of: dict[int, list[str]] = {}
    for signal in signals:
        if signal.lead is not None:
            leads_of.setdefault(signal.per_frame, []).append(signal.lead)
    per_frame = next(iter(leads_of), 1)
    if len(leads_of) > 1:
        groups = [", ".join(leads) + f" with {count}" for count, leads in leads_of.items()]
        raise UnreadableFile(
            "rates_differ",
            f"The ECG leads of this WFDB record have different sampling rates: {'; '.join(groups)} samples per frame.",
            hint="Resample the leads to one rate.",
        )
    if frame_rate_hz is None:
        if hints.rate_hz is None:
            raise UnreadableFile(
                "rate_missing", "The WFDB header states no sampling rate.", hint="Add the parameter rate_hz."
            )
        rate_hz = checked_rate(hints.rate_hz)
        return rate_hz / per_frame, rate_hz
    return frame_rate_hz, agreed_rate(hints.rate_hz, frame_rate_hz * per_frame)


def _window(signals: Sequence[Signal], frames: int, frame_rate_hz: float, hints: ReadHints) -> slice:
    """The frames to be read, within the limits of what is allocated for them."""
    window = stretch(hints, frames, frame_rate_hz)
    check_size(len(signals), (window.stop - window.start) * max(signal.per_frame for signal in signals))
    return window


def _read_one(header: Header, files: Sequence[UploadedFile], hints: ReadHints) -> _Samples:
    """A record of one segment."""
    header, given = _named(header, hints)
    frame_rate_hz, rate_hz = _rates(header.signals, header.rate_hz, hints)
    _check_there([signal.file for signal in header.signals if signal.format != NO_FILE], files)
    if header.samples is not None:
        _window(header.signals, header.samples, frame_rate_hz, hints)  # before any file is looked into
    header, data = _with_files(header, files)
    window = _window(header.signals, header.samples or 0, frame_rate_hz, hints)
    rows, found = _read_signals(header, data, window)
    return _Samples(header.signals, rows, rate_hz, [*given, *found])


def _read_segments(master: Header, files: Sequence[UploadedFile], hints: ReadHints) -> _Samples:
    """Join the segments of a record, those that the stretch needs; a null segment becomes missing samples.

    What the master header states is held to what its segments are.
    """
    names = [name for name, _ in master.segments if name != "~" and name != master.layout]
    if not names:
        raise UnreadableFile("signal_empty", "The WFDB record holds no sample.")
    total = sum(length for _, length in master.segments)
    if hints.start_s is None and hints.length_s is None:
        _check_there([f"{name}.hea" for name, _ in master.segments if name != "~"], files)
    if master.rate_hz is not None:
        stretch(hints, total, master.rate_hz)
    first = master.layout or next((name for name in names if _place(f"{name}.hea", files) is not None), names[0])
    reference, given = _named(parse_header(_part(f"{first}.hea", files)), hints)
    if reference.segments:
        raise UnreadableFile("unreadable_file", "A segment of the WFDB record has segments itself.")
    check_belong_together(master, reference, total)
    frame_rate_hz, rate_hz = _rates(reference.signals, master.rate_hz or reference.rate_hz, hints)
    pieces = pieces_of(master, _window(reference.signals, total, frame_rate_hz, hints))
    lengths = {(name, length) for name, length in master.segments}
    whole = {}
    for name in dict.fromkeys(piece.name for piece in pieces if piece.name is not None):
        header = parse_header(_part(f"{name}.hea", files))
        header = header if master.layout else _named(header, hints)[0]
        check_segment(header, reference, fixed=master.layout is None)
        whole[name] = header, _ = _with_files(header, files)
        if {(name, header.samples)} != {pair for pair in lengths if pair[0] == name}:
            # Before anything is read: thirty small headers may name one large file.
            raise UnreadableFile("length_mismatch", "A segment of the WFDB record has not the announced length.")
    if sum(len(content) for _, data in whole.values() for content in data.values()) > MAX_WFDB_SEGMENT_BYTES:
        raise UnreadableFile("too_long", "The segments of this WFDB record name the same large files again and again.")
    read: dict[Piece, tuple[Header, list[NDArray[np.float64]]]] = {}
    found: list[InputWarning] = []
    for piece in dict.fromkeys(piece for piece in pieces if piece.name is not None):
        header, data = whole[piece.name or ""]
        rows, in_segment = _read_signals(header, data, slice(piece.first, piece.last))
        read[piece] = header, rows
        found += [warning for warning in in_segment if warning not in found]
    return _Samples(reference.signals, joined(reference, pieces, read), rate_hz, [*given, *found])


def _with_files(header: Header, files: Sequence[UploadedFile]) -> tuple[Header, Mapping[str, bytes]]:
    """The header of a single-segment record with its length, and the files that it names, long enough for it."""
    data = {s.file: _part(s.file, files) for s in header.signals if s.format != NO_FILE}
    if not data:
        raise UnreadableFile(
            "signal_empty",
            "The WFDB header says that its signals have no samples, as the layout of a longer record does.",
            hint="Send the header of the whole record with its segments, or one segment with its signal files.",
        )
    return _with_length(header, data), data


def _read_signals(
    header: Header, data: Mapping[str, bytes], window: slice
) -> tuple[list[NDArray[np.float64]], list[InputWarning]]:
    """Physical samples of each signal of a single-segment record, NaN where the format marks them invalid.

    window: the frames that are read.
    """
    files = list(data)
    stored = [place for place, signal in enumerate(header.signals) if signal.format != NO_FILE]
    in_files, contents_of = _little_endian([header.signals[place] for place in stored], data)
    contents = {f"{place}.dat": contents_of[file] for place, file in enumerate(files)}
    in_files = [_started_at(window.start, place, in_files, contents_of) for place in range(len(in_files))]
    contents["0.hea"] = _rewritten(header, in_files, files).encode()
    with warnings.catch_warnings(), _written(contents) as folder:
        warnings.simplefilter("ignore")  # wfdb is imported with calls that pandas deprecates
        import wfdb  # a third of a second, which readers of other formats need not pay

        try:
            record = wfdb.rdrecord(
                str(folder / "0"), sampfrom=window.start, sampto=window.stop, physical=False, smooth_frames=False
            )
        except (ValueError, RuntimeError) as error:  # soundfile's are of the second kind
            if any(signal.format in FLAC for signal in in_files):
                raise UnreadableFile(
                    "truncated", "A compressed signal file of the WFDB record is damaged or cut short."
                ) from error
            raise
    found = []
    if window == slice(0, header.samples) and not _checksums_hold(in_files, record.calc_checksum(expanded=True)):
        message = "Samples do not match the checksums of the header: the files may not belong together."
        found.append(InputWarning("checksum_mismatch", message))
    uncalibrated = tuple(signal.lead for signal in in_files if signal.gain == 0 and signal.lead is not None)
    if uncalibrated:
        message = "The header states no gain: the format's 200 per mV was used."
        found.append(InputWarning("gain_assumed", message))
    rows = [np.full((window.stop - window.start) * s.per_frame, np.nan) for s in header.signals]
    for place, physical in zip(stored, record.dac(expanded=True), strict=True):
        rows[place] = physical
    return rows, found


def _checksums_hold(signals: Sequence[Signal], computed: Sequence[int]) -> bool:
    """Whether the samples are those that the header was written for, as far as it says.

    Checksums that are all 0 are what writers put who compute none. Those of skewed signals count what is cut off.
    """
    stated = [signal.checksum for signal in signals]
    if any(signal.skew for signal in signals) or not any(stated):
        return True
    return all(s is None or (s - c) % 65536 == 0 for s, c in zip(stated, computed, strict=True))


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


def _little_endian(signals: Sequence[Signal], data: Mapping[str, bytes]) -> tuple[list[Signal], dict[str, bytes]]:
    """Format 61 (big-endian) as format 16: wfdb 4.3 fails to return its samples unsmoothed."""
    swapped = dict(data)
    for file, offset in {(s.file, s.offset) for s in signals if s.format == 61}:
        counts = np.frombuffer(data[file], ">i2", (len(data[file]) - offset) // 2, offset)
        swapped[file] = data[file][:offset] + counts.astype("<i2").tobytes()
    return [replace(s, format=16) if s.format == 61 else s for s in signals], swapped


def _started_at(frame: int, place: int, signals: Sequence[Signal], data: Mapping[str, bytes]) -> Signal:
    """A signal of differences (format 8) with the value that it has reached before `frame`; any other as it is."""
    signal = signals[place]
    if signal.format != 8 or frame == 0:
        return signal
    before = sum(each.per_frame for each in signals[:place] if each.file == signal.file)
    per_frame = sum(each.per_frame for each in signals if each.file == signal.file)
    steps = np.frombuffer(data[signal.file], np.int8, frame * per_frame, signal.offset).reshape(frame, per_frame)
    reached = signal.initial + int(steps[:, before : before + signal.per_frame].sum(dtype=np.int64))
    return replace(signal, initial=reached)


def _with_length(header: Header, data: Mapping[str, bytes]) -> Header:
    """The header with its length, taken from the first file where not stated; refuses files that are too short."""
    samples = header.samples
    for file, content in data.items():
        group = [signal for signal in header.signals if signal.file == file]
        if len({(signal.format, signal.offset) for signal in group}) > 1:
            raise UnreadableFile("unreadable_file", "The signals of one WFDB file have different formats.")
        if content.startswith(_MATLAB_5) or (content.startswith(_VAL_IN_MATLAB_4, 12) and group[0].offset == 0):
            raise UnreadableFile(
                "unreadable_file",
                "A signal file of the WFDB record is a MATLAB file, and its header takes it for bare samples.",
                hint="Write the record again with its header, as with wfdb.wrsamp.",
            )
        held = _frames_in_flac(group, content) if group[0].format in FLAC else _frames_in(group, content)
        samples = held if samples is None else samples
        if held < samples or held <= 0:
            raise UnreadableFile(
                "truncated", f"A signal file holds {max(held, 0)} samples per lead; its header announces {samples}."
            )
    if any(signal.skew >= (samples or 0) for signal in header.signals if signal.format != NO_FILE):
        raise UnreadableFile("unreadable_file", "The WFDB header has an impossible skew.")
    return replace(header, samples=samples)


def _frames_in(group: Sequence[Signal], content: bytes) -> int:
    """How many whole frames of these signals a file holds."""
    per_frame = sum(signal.per_frame for signal in group)
    return int((len(content) - group[0].offset) * 8 / BITS[group[0].format]) // per_frame


def _frames_in_flac(group: Sequence[Signal], content: bytes) -> int:
    """How many frames a compressed file says it holds; whether it does is seen when it is decoded."""
    if not content.startswith(b"fLaC") or len(content) < _STREAM_INFO.stop:
        raise UnreadableFile("unreadable_file", "A signal file of the WFDB record is not FLAC, as its header says.")
    if len({signal.per_frame for signal in group}) > 1:
        raise UnreadableFile("unreadable_file", "The signals of one compressed WFDB file have different rates.")
    samples = int.from_bytes(content[_STREAM_INFO], "big") & (1 << 36) - 1
    return (samples - group[0].offset) // group[0].per_frame


def _rewritten(header: Header, signals: Sequence[Signal], files: Sequence[str]) -> str:
    """A header of these signals with our file names and without its free text."""
    lines = [f"0 {len(signals)} {header.rate_hz or 1:.17g} {header.samples}"]
    for place, s in enumerate(signals):
        layout = f"{s.format}x{s.per_frame}:{s.skew}+{s.offset}"
        gain = f"{s.gain or 200.0:.17g}({s.baseline})/mV"
        lines.append(f"{files.index(s.file)}.dat {layout} {gain} 0 0 {s.initial} 0 0 {place}")
    return "\n".join(lines) + "\n"


def _place(name: str, files: Sequence[UploadedFile]) -> int | None:
    """Where in the upload that file is that the header means by `name`."""
    return fitting(name, [file.name for file in files])


def _check_there(names: Sequence[str], files: Sequence[UploadedFile]) -> None:
    """Refuse a record whose header names files that are not part of the upload."""
    named = list(dict.fromkeys(names))
    missing = [name for name in named if _place(name, files) is None]
    if not missing:
        return
    ending = missing[0][-4:].lower()  # the rest of a name may be a patient's
    kind = ending if ending in _ENDINGS else "signal"
    if len(named) == 1:
        sentence = f"The WFDB header names a {kind} file that is not part of the upload."
    else:
        sentence = (
            f"The WFDB header names {len(named)} files, of which {len(missing)} are not part of the upload, a {kind} "
            "file among them."
        )
    raise UnreadableFile(
        "file_missing",
        sentence,
        hint="Send the header together with all files it names, under the names that stand in it, to which browsers "
        "add ` (1)` for a second copy, or as one zip.",
    )


def _part(name: str, files: Sequence[UploadedFile]) -> bytes:
    _check_there([name], files)
    place = _place(name, files)
    assert place is not None
    check_fetched(files[place].data)
    return files[place].data


WFDB = EcgFormat(
    "wfdb",
    looks_like_header,
    read_wfdb,
    states_itself=True,
    companions=named_files,
    confirms=describes_record,
    chooses=frozenset({"stretch"}),
    checks_unit=True,
)
