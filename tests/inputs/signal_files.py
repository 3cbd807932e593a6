"""SCP-ECG, ISHNE, EDF and BDF files, written byte by byte so that readers are not tested with their own writers."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from inputs.records import STANDARD_LEADS

SCP_CODES = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61, "aVR": 62, "aVL": 63,
             "aVF": 64, "V3R": 11, "V7": 9, "unknown": 0}  # fmt: skip
ISHNE_CODES = {"I": 5, "II": 6, "III": 7, "aVR": 8, "aVL": 9, "aVF": 10, "V1": 11, "V2": 12, "V3": 13, "V4": 14,
               "V5": 15, "V6": 16, "VX": 2, "unknown": 0, "ES": 17}  # fmt: skip


def counts_of(signal_mv: np.ndarray, step_uv: float = 1.0) -> np.ndarray:
    """(L, N) int16, -32768 where a sample is missing."""
    return np.where(np.isnan(signal_mv), -32768, np.round(1000 * np.nan_to_num(signal_mv) / step_uv)).astype("<i2")


def scp_tag(number: int, value: bytes) -> bytes:
    return struct.pack("<BH", number, len(value)) + value


def scp_device(language: int = 0) -> bytes:
    fixed = struct.pack("<HHHBB6s", 1, 2, 3, 0, 0, b"CART1\0") + bytes([20, 0xA0, language, 0, 1]) + bytes(17)
    return fixed + b"programme\0SERIAL-9\0system\0scp\0Vendor\0"


def scp_about(*more: bytes, name: bytes = b"Family") -> bytes:
    """Section 1: a name, a number, a birth date, the device, date and time."""
    tags = [scp_tag(0, name + b"\0"), scp_tag(2, b"MRN-4471\0"), scp_tag(5, struct.pack("<HBB", 1931, 12, 7))]
    tags += [scp_tag(14, scp_device()), scp_tag(25, struct.pack("<HBB", 2020, 1, 31)), scp_tag(26, bytes([10, 20, 30]))]
    return b"".join([*tags, *more]) + b"\xff\0\0"


def scp_leads(samples: int, leads: Sequence[str] = STANDARD_LEADS, flags: int | None = None) -> bytes:
    """Section 3 of leads that were recorded together."""
    flags = 0b100 | min(len(leads), 31) << 3 if flags is None else flags
    return bytes([len(leads), flags]) + b"".join(struct.pack("<IIB", 1, samples, SCP_CODES[lead]) for lead in leads)


def scp_signal(rows: Sequence[bytes], *, step_nv: int = 1000, interval_us: int = 2000, way: int = 0, bimodal: int = 0):
    """Section 5 or 6 of encoded rows."""
    head = struct.pack("<HHBB", step_nv, interval_us, way, bimodal)
    return head + b"".join(struct.pack("<H", len(row)) for row in rows) + b"".join(rows)


def scp_beats(length_ms: int, fiducial: int, zones: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Section 4: zones as kind, first sample, fiducial sample and last sample."""
    return struct.pack("<HHH", length_ms, fiducial, len(zones)) + b"".join(
        struct.pack("<HIII", *zone) for zone in zones
    )


def scp_file(sections: Mapping[int, bytes], *, mark: bytes = b"SCPECG") -> bytes:
    """A whole file of sections without their headers, section 0 before them."""
    place, pointers, blocks = 6 + 16 + 10 * 13, {}, []
    for number, body in sections.items():
        block = _scp_section(number, body)
        pointers[number] = (len(block), place + 1)
        place += len(block)
        blocks.append(block)
    pointers[0] = (16 + 10 * 13, 7)
    directory = b"".join(struct.pack("<HII", number, *pointers.get(number, (0, 0))) for number in range(13))
    content = _scp_section(0, directory, mark) + b"".join(blocks)
    content = struct.pack("<I", 6 + len(content)) + content
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


def _scp_section(number: int, body: bytes, mark: bytes = bytes(6)) -> bytes:
    section = struct.pack("<HIBB6s", number, 16 + len(body), 20, 20, mark) + body
    return struct.pack("<H", binascii.crc_hqx(section, 0xFFFF)) + section


def scp_of(signal_mv: np.ndarray, leads: Sequence[str] = STANDARD_LEADS, **more: bytes) -> bytes:
    """A plain file of an ECG at 500 Hz: neither Huffman code nor differences. more: s7=..., other sections."""
    sections = {1: scp_about(), 3: scp_leads(signal_mv.shape[1], leads)}
    sections[6] = scp_signal([row.tobytes() for row in counts_of(signal_mv)])
    sections |= {int(name[1:]): body for name, body in more.items()}
    return scp_file(sections)


def ishne_of(
    signal_mv: np.ndarray,
    leads: Sequence[str] = STANDARD_LEADS,
    *,
    rate_hz: int = 500,
    step_nv: int = 1000,
    stated: int | None = None,
    pacemaker: int = 0,
    text: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """A Holter file with a name; `stated` is its sample count, of one lead unless given."""
    counts = counts_of(signal_mv, step_nv / 1000)
    start = 522 + len(text)
    head = struct.pack("<iiiih", len(text), counts.shape[1] if stated is None else stated, 522, start, 1)
    head += struct.pack("<40s40s20s", b"Given", b"Family", b"MRN-4471")
    head += struct.pack("<hh3h3h3h3h", 1, 0, 7, 12, 1931, 31, 1, 2020, 1, 2, 2020, 10, 20, 30)
    head += struct.pack("<h", len(leads))
    unused = [-9] * (12 - len(leads))
    for values in ([ISHNE_CODES[lead] for lead in leads], [1] * len(leads), [step_nv] * len(leads)):
        head += struct.pack("<12h", *values, *unused)
    head += struct.pack("<h40sh80s80s88s", pacemaker, b"Recorder 7", rate_hz, b"", b"", b"") + text
    checksum = struct.pack("<H", binascii.crc_hqx(head, 0xFFFF)) if checksum is None else checksum
    return b"ISHNE1.0" + checksum + head + counts.T.tobytes()


def edf_of(
    signal_mv: np.ndarray,
    labels: Sequence[str] = STANDARD_LEADS,
    *,
    bdf: bool = False,
    unit: str = "mV",
    physical: tuple[object, object] | None = None,
    digital: tuple[object, object] | None = None,
    filters: str = "HP:0.05Hz LP:150Hz",
    **head: object,
) -> bytes:
    """A file of records of 1 s at 500 Hz, signal_mv in `unit`: EDF in steps of 1/1000, BDF of 1/32.

    head: of `edf_file`.
    """
    digital = digital or ((-(1 << 23), (1 << 23) - 1) if bdf else (-(1 << 15), (1 << 15) - 1))
    low, high = physical or ((-262144, 262143) if bdf else (-32.768, 32.767))
    gain = (float(high) - float(low)) / (float(digital[1]) - float(digital[0]))
    counts = np.round((signal_mv - float(low)) / gain + float(digital[0])).astype("<i4")
    rows = [(label, counts[row], 500) for row, label in enumerate(labels)]
    seconds = signal_mv.shape[1] // 500
    fields = [[label for label, _, _ in rows], ["electrode"] * len(rows), [unit] * len(rows), [low] * len(rows)]
    fields += [[high] * len(rows), [digital[0]] * len(rows), [digital[1]] * len(rows), [filters] * len(rows)]
    fields += [[per_second for _, _, per_second in rows], [""] * len(rows)]
    body = [
        _edf_bytes(row[second * per_second : (second + 1) * per_second], bdf)
        for second in range(seconds)
        for _, row, per_second in rows
    ]
    return edf_file(fields, b"".join(body), bdf=bdf, records=head.pop("records", seconds), **head)


def edf_file(
    fields: Sequence[Sequence[object]],
    body: bytes,
    *,
    records: object,
    bdf: bool = False,
    record_s: object = 1,
    reserved: str = "",
    signals: object = None,
) -> bytes:
    """The header of these fields of all signals, and the records as they stand."""
    count = len(fields[0])
    head = b"\xffBIOSEMI" if bdf else b"0       "
    for value, width in (("MRN-4471 F 07-DEC-1931 Family, Name", 80), ("Startdate 31-JAN-2020 X X X", 80)):
        head += value.ljust(width).encode()
    for value, width in (("31.01.20", 8), ("10.20.30", 8), (256 * (count + 1), 8), (reserved, 44), (records, 8)):
        head += str(value)[:width].ljust(width).encode()
    head += str(record_s).ljust(8).encode() + str(count if signals is None else signals).ljust(4).encode()
    for values, width in zip(fields, (16, 80, 8, 8, 8, 8, 8, 80, 8, 32), strict=True):
        head += b"".join(str(value)[:width].ljust(width).encode("latin_1") for value in values)
    return head + body


def _edf_bytes(counts: np.ndarray, bdf: bool) -> bytes:
    four = np.ascontiguousarray(counts, "<i4").view(np.uint8).reshape(-1, 4)
    return four[:, : 3 if bdf else 2].tobytes()
