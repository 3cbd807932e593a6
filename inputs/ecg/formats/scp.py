"""SCP-ECG (EN 1064 / ISO 11073-91064): rhythm of section 6, with Huffman code, differences and reference beats.

A file is a CRC, its size and sections, each with a header of 16 bytes; section 0 points to the others, counting bytes
from 1. Samples are counted from 1 too, in the time of the whole recording. Numbers are little-endian.

Checksums: damage to the signal's sections is refused. Where only other parts were changed, as by tools that take names
out, or where no checksum is right, so that the writer counts them otherwise, the ECG is read with a warning.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.ecg.formats.base import (
    Channel,
    EcgFormat,
    agreed_rate,
    build_recording,
    check_size,
    of_one_file,
)
from inputs.ecg.formats.scp_huffman import MAX_HUFFMAN_BYTES, Table, decode, read_tables
from inputs.ecg.formats.scp_said import said_by
from inputs.errors import UnreadableFile
from inputs.records import EcgRecording, InputWarning, ReadHints

_PREAMBLE, _HEADER, _POINTER = 6, 16, 10
_LEAST_BYTES = _PREAMBLE + _HEADER + _POINTER
_LONG_TERM = 12
_OF_THE_SIGNAL = (2, 3, 4, 5, 6)
_LEADS = {
    1: "I", 2: "II", 3: "V1", 4: "V2", 5: "V3", 6: "V4", 7: "V5", 8: "V6", 9: "V7", 11: "V3R", 12: "V4R", 16: "VX",
    17: "VY", 18: "VZ", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 66: "V8", 67: "V9",
}  # fmt: skip
"""Of the numbers in section 3 those of leads that we know."""
_EXPORT = "Export it from the electrocardiograph or its software as DICOM, aECG (XML) or uncompressed SCP-ECG."

Sections = Mapping[int, bytes]
"""What follows the header of each section that is there, by its number."""


@dataclass(frozen=True)
class _Lead:
    """A lead of section 3; `first` and `last` count samples from 1 in the time of the whole recording."""

    name: str | None
    first: int
    last: int

    @property
    def samples(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class _Coded:
    """Section 5 or 6: amplitudes in steps of `step_nv`, each lead's bytes as they stand."""

    step_nv: int
    interval_us: int
    differences: int
    bimodal: bool
    leads: tuple[bytes, ...]


def looks_like_scp(data: bytes) -> bool:
    """By its mark or, as older files have none, by section 0 and its pointer to itself."""
    if data[8:10] == bytes(2) and data[16:22] == b"SCPECG":  # in section 0: text may say it too
        return True
    if len(data) < _LEAST_BYTES:
        return False
    number, length = struct.unpack_from("<HI", data, 8)
    pointed, pointed_length, place = struct.unpack_from("<HII", data, _PREAMBLE + _HEADER)
    to_itself = pointed == 0 and pointed_length == length and place in (_PREAMBLE, _PREAMBLE + 1)
    return bool(number == 0 and length >= _HEADER + _POINTER and to_itself)


def read_scp(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the rhythm; `hints.rate_hz` may only confirm the file's rate. Raises UnreadableFile.

    Leads that do not begin or end together are NaN where they were not recorded.
    """
    sections, warnings = _sections(data)
    if 6 not in sections:
        kind = "long-term recordings" if _LONG_TERM in sections else "averaged beats or measurements"
        code = "unsupported_format" if _LONG_TERM in sections else "no_rhythm"
        raise UnreadableFile(code, f"The SCP-ECG file holds {kind} only, no rhythm of 10 s.", hint=_EXPORT)
    leads, subtracted = _leads(sections, warnings)
    tables = read_tables(sections[2]) if 2 in sections else None
    rhythm = _coded(sections[6], len(leads))
    rate_hz = agreed_rate(hints.rate_hz, _rate_hz(rhythm.interval_us))
    if rhythm.bimodal and not (5 in sections and _coded(sections[5], len(leads)).interval_us == rhythm.interval_us):
        sentence = "The SCP-ECG file has its rhythm thinned out between the beats (bimodal compression)."
        raise UnreadableFile("unsupported_format", f"{sentence} It is not read.", hint=_EXPORT)
    first = min(lead.first for lead in leads)
    samples = max(lead.last for lead in leads) - first + 1
    check_size(len(leads), samples)
    signal_nv = np.full((len(leads), samples), np.nan)
    rows = _decoded(rhythm, [lead.samples for lead in leads], tables)
    for row_nv, lead, values in zip(signal_nv, leads, rows, strict=True):
        row_nv[lead.first - first : lead.last - first + 1] = values * float(rhythm.step_nv)
        if tables is None and rhythm.differences == 0:
            row_nv[row_nv == np.iinfo(np.int16).min * float(rhythm.step_nv)] = np.nan  # as 16-bit files mark a gap
    if subtracted:
        _add_reference_beats(signal_nv, first, sections, rhythm, tables)
    channels = [Channel(lead.name, "nV", row_nv) for lead, row_nv in zip(leads, signal_nv, strict=True)]
    return build_recording(channels, rate_hz, "scp", warnings, said=said_by(sections))


def _sections(data: bytes) -> tuple[Sections, list[InputWarning]]:
    """The sections, checked to lie within the file and to be what section 0 says, and what their checksums say."""
    if len(data) < _LEAST_BYTES:
        raise UnreadableFile("truncated", "The SCP-ECG file ends within its directory.")
    (size,) = struct.unpack_from("<I", data, 2)
    (length,) = struct.unpack_from("<I", data, 10)
    (place,) = struct.unpack_from("<I", data, _LEAST_BYTES - 4)
    if place == _PREAMBLE:
        raise UnreadableFile(
            "unsupported_format",
            "The file resembles SCP-ECG but does not keep to the standard, as those of some handheld recorders.",
            hint="Export it from the recorder's software in another format, or convert it with the vendor's tool.",
        )
    if size > len(data) or not _HEADER + _POINTER <= length <= size - _PREAMBLE:
        raise UnreadableFile("truncated", "The SCP-ECG file is shorter than it states.")
    data = data[:size]
    pointers = data[_PREAMBLE + _HEADER :][: (length - _HEADER) // _POINTER * _POINTER]
    found: dict[int, bytes] = {}
    right = {-1: binascii.crc_hqx(data[2:], 0xFFFF) == struct.unpack_from("<H", data)[0]}
    for number, held, place in struct.iter_unpack("<HII", pointers):
        if held == 0 or number > _LONG_TERM:  # beyond are the vendor's own, whose headers vary
            continue
        section = data[place - 1 : place - 1 + held]
        if place == 0 or len(section) != held or held < _HEADER or number in found:
            raise UnreadableFile("truncated", "The SCP-ECG file points to a section that is not within it.")
        checksum, own_number, own_length = struct.unpack_from("<HHI", section)
        if own_number != number or not _HEADER <= own_length <= held:
            raise UnreadableFile("unreadable_file", "A section of the SCP-ECG file is not what its directory says.")
        section = section[:own_length]  # the directory of some writers counts what fills a section up
        right[number] = binascii.crc_hqx(section[2:], 0xFFFF) == checksum
        found[number] = section[_HEADER:]
    if all(right.values()):
        return found, []
    if any(right.values()) and not right[-1] and not all(right.get(number, True) for number in _OF_THE_SIGNAL):
        raise UnreadableFile(
            "unreadable_file",
            "The signal of the SCP-ECG file is damaged: its checksum is wrong.",
            hint="Send it again.",
        )
    message = "A checksum of the SCP-ECG file is wrong, as after a change to it; its signal was read as it stands."
    return found, [InputWarning("checksum_wrong", message)]


def _leads(sections: Sections, warnings: list[InputWarning]) -> tuple[list[_Lead], bool]:
    """The leads of section 3, and whether reference beats were subtracted from them."""
    section = sections.get(3, b"")
    count, flags = section[:2] if len(section) >= 2 else (0, 0)
    if count == 0 or len(section) < 2 + 9 * count:
        raise UnreadableFile("unreadable_file", "The SCP-ECG file does not say which leads it holds.")
    check_size(count, 0)
    leads = [
        _Lead(_LEADS.get(code), first, last)
        for first, last, code in struct.iter_unpack("<IIB", section[2 : 2 + 9 * count])
    ]
    if not all(1 <= lead.first <= lead.last for lead in leads):
        raise UnreadableFile("unreadable_file", "A lead of the SCP-ECG file ends before it begins.")
    together = flags >> 3
    if not flags & 0b100 and 0 < together < count and len({(lead.first, lead.last) for lead in leads}) == 1:
        message = f"Of the {count} leads only {together} each were recorded at the same time."
        warnings.append(InputWarning("leads_not_simultaneous", message))
    return leads, bool(flags & 1)


def _coded(section: bytes, leads: int) -> _Coded:
    """The head of section 5 or 6 and each lead's bytes."""
    head = _PREAMBLE + 2 * leads
    if len(section) < head:
        raise UnreadableFile("truncated", "The SCP-ECG file ends before its signal does.")
    step_nv, interval_us, differences, bimodal = struct.unpack_from("<HHBB", section)
    sizes = struct.unpack_from(f"<{leads}H", section, 6)
    if step_nv == 0:
        raise UnreadableFile("unit_missing", "The SCP-ECG file does not say how many nanovolt a step is.")
    if interval_us == 0:
        raise UnreadableFile("rate_missing", "The SCP-ECG file does not say its sampling rate.")
    if differences > 2:
        raise UnreadableFile("unreadable_file", "The SCP-ECG file is encoded in a way that the standard does not have.")
    if head + sum(sizes) > len(section):
        raise UnreadableFile("truncated", "The SCP-ECG file ends before its signal does.")
    ends = [head + sum(sizes[: place + 1]) for place in range(leads)]
    parts = tuple(section[end - size : end] for end, size in zip(ends, sizes, strict=True))
    return _Coded(step_nv, interval_us, differences, bimodal == 1, parts)


def _decoded(coded: _Coded, counts: Sequence[int], tables: Sequence[Table] | None) -> list[NDArray[np.int64]]:
    """Each lead's amplitudes, in steps."""
    if tables is not None and sum(map(len, coded.leads)) > MAX_HUFFMAN_BYTES:
        raise UnreadableFile("too_long", "The SCP-ECG file has more compressed data than a resting ECG has.")
    rows = []
    for data, count in zip(coded.leads, counts, strict=True):
        if tables is not None:
            values = decode(data, count, tables)
        elif len(data) // 2 != count:
            raise UnreadableFile("length_mismatch", "A lead of the SCP-ECG file has not the length that it states.")
        else:
            values = np.frombuffer(data, "<i2", count).astype(np.int64)
        rows.append(_summed(values, coded.differences))
    return rows


def _summed(values: NDArray[np.int64], differences: int) -> NDArray[np.int64]:
    """Amplitudes from first or second differences; before those stand one or two amplitudes. In 16 bits, as encoded."""
    if differences == 0:
        return values
    if differences == 2:
        values = values.copy()
        values[1:2] -= values[0]
        values[1:] = np.cumsum(values[1:])
    return np.cumsum(values).astype(np.int16).astype(np.int64)


def _rate_hz(interval_us: int) -> float:
    """A whole number of hertz where the interval is one rounded: 1667 us are 600 Hz."""
    whole = round(1e6 / interval_us)
    return float(whole) if whole and abs(1e6 / whole - interval_us) < 1 else 1e6 / interval_us


def _add_reference_beats(
    signal_nv: NDArray[np.float64],
    first: int,
    sections: Sections,
    rhythm: _Coded,
    tables: Sequence[Table] | None,
) -> None:
    """Give back to each beat of the first kind the reference beat that was subtracted from it (sections 4 and 5)."""
    if 4 not in sections or 5 not in sections or len(sections[4]) < 6:
        raise UnreadableFile(
            "unreadable_file", "The SCP-ECG file has the rhythm without its beats, and not the beats.", hint=_EXPORT
        )
    reference = _coded(sections[5], len(signal_nv))
    if reference.interval_us != rhythm.interval_us:
        raise UnreadableFile(
            "unsupported_format", "The SCP-ECG file has its beats at another rate than its rhythm.", hint=_EXPORT
        )
    length_ms, middle, count = struct.unpack_from("<HHH", sections[4])
    zones = sections[4][6 : 6 + 14 * count]
    if len(zones) != 14 * count:
        raise UnreadableFile("truncated", "The SCP-ECG file ends within its list of beats.")
    length = round(1000 * length_ms / reference.interval_us)
    if length < 1:
        raise UnreadableFile("unreadable_file", "The SCP-ECG file has a beat of no samples.")
    check_size(len(signal_nv), length)
    beat_nv = np.stack(_decoded(reference, [length] * len(signal_nv), tables)) * float(reference.step_nv)
    samples, left = signal_nv.shape[1], 2 * signal_nv.shape[1]
    for kind, start, fiducial, end in struct.iter_unpack("<HIII", zones):
        if kind != 0:
            continue
        shift = fiducial - middle  # from a place in the beat to one in the recording, both counted from 1
        start, end = max(start, shift + 1, first), min(end, shift + length, first + samples - 1)
        if start > end:
            continue
        left -= end - start + 1
        if left < 0:
            raise UnreadableFile("unreadable_file", "The SCP-ECG file has beats that lie upon each other.")
        signal_nv[:, start - first : end - first + 1] += beat_nv[:, start - shift - 1 : end - shift]


SCP = EcgFormat("scp", looks_like_scp, of_one_file(read_scp), states_itself=True)
