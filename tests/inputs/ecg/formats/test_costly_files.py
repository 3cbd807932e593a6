"""Files made to cost much, in every format but text tables (`test_hostile_tables.py`), and zips: refused cheaply.

Each is read by a guarded child with little memory and time, so that one that takes more is not refused but dies.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inputs.errors import UnreadableFile
from inputs.guarded.reader import GuardedReader
from inputs.records import STANDARD_LEADS, UploadedFile

MB = 10**6
WAVEFORM = 0x5400_0100
DEFINITIONS = 0x003A_0200


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> list[UploadedFile]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return [UploadedFile("ecg.zip", stream.getvalue())]


def parts(files: dict[str, bytes]) -> list[UploadedFile]:
    return [UploadedFile(name, data) for name, data in files.items()]


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Explicit, little-endian."""
    start = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    long = vr in ("OB", "OW", "SQ", "UN", "UC")
    return start + (struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))) + value


def implicit(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


SOP_CLASS = element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.9.1.1\0")


def meta(syntax: str) -> bytes:
    body = element(0x0002_0010, "UI", syntax.encode() + b"\0" * (len(syntax) % 2))
    return element(0x0002_0000, "UL", struct.pack("<I", len(body))) + body


def dicom(content: bytes, syntax: str = ExplicitVRLittleEndian, preamble: bytes = b"\0" * 128 + b"DICM") -> bytes:
    return preamble + meta(syntax) + content


def deflated(content: bytes) -> bytes:
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def elements(count: int) -> bytes:
    """So many empty private elements."""
    made = np.zeros(count, [("group", "<u2"), ("element", "<u2"), ("vr", "S2"), ("length", "<u2")])
    made["group"], made["element"], made["vr"] = 9 + 2 * (np.arange(count) >> 16), np.arange(count) & 0xFFFF, b"LO"
    return made.tobytes()


def header(name: str, samples: int, file: str) -> bytes:
    lines = [f"{name} 8 500 {samples}", *(f"{file} 16 1000/mV 16 0 0 0 0 {lead}" for lead in STANDARD_LEADS[:8])]
    return ("\n".join(lines) + "\n").encode()


def segments(samples: int, size: int) -> dict[str, bytes]:
    """Thirty segments of ten samples, whose headers all name one file and claim so many samples of it."""
    names = [f"s{number}" for number in range(30)]
    master = "\n".join(["m/30 8 500 300", *(f"{name} 10" for name in names)]).encode()
    return {"m.hea": master, "s.dat": bytes(size)} | {f"{name}.hea": header(name, samples, "s.dat") for name in names}


def zip_that_lists(count: int) -> bytes:
    """One entry, listed again and again."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x", b"")
    data = stream.getvalue()
    at, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    listed = data[at:end] * count
    return data[:at] + listed + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0, 0, len(listed), at, 0)


BOMB = SOP_CLASS + element(0x0009_1010, "OB", bytes(600 * MB))
COSTLY = {
    "deflated to 600 MB": lambda: [UploadedFile("x", dicom(deflated(BOMB), DeflatedExplicitVRLittleEndian))],
    "deflated to 600 MB, without preamble": lambda: [
        UploadedFile("x", dicom(deflated(BOMB), DeflatedExplicitVRLittleEndian, preamble=b""))
    ],
    "millions of elements": lambda: parts({"x": dicom(SOP_CLASS + elements(MB))}),
    "millions of elements, deflated": lambda: [
        UploadedFile("x", dicom(deflated(SOP_CLASS + elements(MB)), DeflatedExplicitVRLittleEndian))
    ],
    "millions of groups": lambda: parts({"x": dicom(SOP_CLASS + element(WAVEFORM, "SQ", item(b"") * 7 * MB))}),
    "millions of channels": lambda: parts(
        {"x": dicom(SOP_CLASS + element(WAVEFORM, "SQ", item(element(DEFINITIONS, "SQ", item(b"") * 7 * MB))))}
    ),
    "millions of channels of no kind": lambda: parts(
        {"x": dicom(SOP_CLASS + element(WAVEFORM, "SQ", item(element(DEFINITIONS, "UN", item(b"") * 8000)) * 900))}
    ),
    "a sequence that is text": lambda: parts({"x": dicom(SOP_CLASS + element(WAVEFORM, "UC", b"\\" * 40 * MB))}),
    "a character set of millions": lambda: parts(
        {"x": dicom(implicit(0x0008_0005, b"\\" * 40 * MB), ImplicitVRLittleEndian)}
    ),
    "a character set in every group": lambda: parts(
        {"x": dicom(SOP_CLASS + element(WAVEFORM, "SQ", item(element(0x0008_0005, "CS", b"\\" * 65_000)) * 900))}
    ),
    "a class of millions of numbers": lambda: parts(
        {"x": dicom(implicit(0x0008_0016, b"1\\" * 25 * MB), ImplicitVRLittleEndian)}
    ),
    "segments that name one large file": lambda: parts(segments(1_000_000, 60 * MB)),
    "segments that claim all of one large file": lambda: parts(segments(600_000, 16 * 600_000)),
    "segments that share one large file": lambda: parts(segments(10, 60 * MB)),
    "a description of spaces": lambda: [
        UploadedFile("r.hea", b"r 1 500 100\nr.dat 16 1000/mV 16 0 0 0 0 a" + b" " * 250_000 + b"b\n"),
        UploadedFile("r.dat", bytes(200)),
    ],
    "a zip that lists half a million files": lambda: [UploadedFile("x", zip_that_lists(500_000))],
    "a zip packed with bzip2": lambda: zipped({"x.csv": b"I,II\n" + bytes(400 * MB)}, zipfile.ZIP_BZIP2),
    "a zip of millions of elements": lambda: zipped(
        {"x": dicom(SOP_CLASS + element(WAVEFORM, "SQ", item(b"") * 7 * MB))}
    ),
    "a zip packed with LZMA": lambda: zipped({"x.csv": b"I,II\n1,2\n"}, zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_file_made_to_cost_much_is_refused_and_the_child_lives(narrow, name):
    with pytest.raises(UnreadableFile) as refused:
        narrow.read_ecg(COSTLY[name]())
    assert refused.value.code != "reading_failed"


def test_thousands_of_elements_beside_the_waveform_are_no_obstacle(ecg):
    plain = ecg.dicom(ecg.dicom_group(ecg.signal_mv()))
    at = plain.data.index(element(0x0010_0010, "PN", b"Family^Name ")[:6])
    with GuardedReader() as reader:
        found = reader.read_ecg([UploadedFile("x", plain.data[:at] + elements(30_000) + plain.data[at:])])
        np.testing.assert_array_equal(found.signal_mv, reader.read_ecg([plain]).signal_mv)


@pytest.mark.parametrize("preamble", [b"\0" * 128 + b"DICM", b""])
def test_a_deflated_file_is_read_with_or_without_preamble(ecg, preamble):
    plain = ecg.dicom(ecg.dicom_group(ecg.signal_mv()))
    content = plain.data[plain.data.index(SOP_CLASS) :]
    with GuardedReader() as reader:
        made = dicom(deflated(content), DeflatedExplicitVRLittleEndian, preamble)
        np.testing.assert_array_equal(
            reader.read_ecg([UploadedFile("x", made)]).signal_mv, reader.read_ecg([plain]).signal_mv
        )
