"""Clips made to cost much: refused at the price of looking, by a guarded child with little memory and time."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from inputs.errors import UnreadableFile
from inputs.guarded.reader import GuardedReader
from inputs.limits import ChildLimits

MB = 10**6
ULTRASOUND = b"1.2.840.10008.5.1.4.1.1.3.1\0"
COLOURS = (0x0028_1101, 0x0028_1102, 0x0028_1103)
SEGMENTED = (0x0028_1221, 0x0028_1222, 0x0028_1223)


def element(tag: int, vr: str, value: bytes, *, implicit: bool = False) -> bytes:
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return start + struct.pack("<I", len(value)) + value
    long = vr in ("OB", "OW", "SQ", "UN")
    return start + vr.encode() + (struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))) + value


def clip(*more: tuple[int, str, bytes], photometric: bytes = b"MONOCHROME2 ", bits: int = 8, implicit: bool = False):
    """The header of two frames of 10 x 10 pixels, in the order of its tags."""
    number = struct.Struct("<H").pack
    elements = [
        (0x0008_0016, "UI", ULTRASOUND),
        (0x0028_0002, "US", number(1)),
        (0x0028_0004, "CS", photometric),
        (0x0028_0008, "IS", b"2 "),
        (0x0028_0010, "US", number(10)),
        (0x0028_0011, "US", number(10)),
        (0x0028_0100, "US", number(bits)),
        (0x0028_0101, "US", number(8)),
        (0x0028_0102, "US", number(7)),
        (0x0028_0103, "US", number(0)),
        *more,
    ]
    return b"".join(element(*each, implicit=implicit) for each in sorted(elements))


def meta(syntax: str, preamble: bytes = b"\0" * 128 + b"DICM") -> bytes:
    body = element(0x0002_0010, "UI", syntax.encode() + b"\0" * (len(syntax) % 2))
    return preamble + element(0x0002_0000, "UL", struct.pack("<I", len(body))) + body


def item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


PIXELS = element(0x7FE0_0010, "OW", bytes(200))
ENCAPSULATED = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)


def deflated() -> bytes:
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    inside = clip() + element(0x0009_1010, "OB", bytes(600 * MB)) + PIXELS
    return deflater.compress(inside) + deflater.flush()


def many_elements() -> bytes:
    made = np.zeros(3 * MB, [("group", "<u2"), ("element", "<u2"), ("vr", "S2"), ("length", "<u2")])
    made["group"], made["element"], made["vr"] = 9 + 2 * (np.arange(3 * MB) >> 16), np.arange(3 * MB) & 0xFFFF, b"LO"
    return made.tobytes()


def palette(*tables: tuple[int, str, bytes], bits: int = 8) -> bytes:
    depth = [(tag, "US", struct.pack("<HHH", 256, 0, 16)) for tag in COLOURS]
    return clip(*depth, *tables, photometric=b"PALETTE COLOR ", bits=bits) + PIXELS


def large_picture() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (9000, 9000)).save(stream, "JPEG2000", no_jp2=True)
    return stream.getvalue()


ONE_COLOUR = struct.pack("<HHH", 0, 1, 3)
LINES = b"".join(struct.pack("<HHH", 1, 65_535, 5 + number % 2 * 60_000) for number in range(10_000))
COSTLY = {
    "deflated to 600 MB": lambda: meta(DeflatedExplicitVRLittleEndian) + deflated(),
    "deflated to 600 MB, without preamble": lambda: meta(DeflatedExplicitVRLittleEndian, b"") + deflated(),
    "deflated to 600 MB, named late": lambda: (
        b"\0" * 128 + b"DICM"
        + element(0x0002_0001, "OB", bytes(6000))
        + element(0x0002_0010, "UI", DeflatedExplicitVRLittleEndian.encode())
        + deflated()
    ),
    "millions of elements": lambda: meta(ExplicitVRLittleEndian) + many_elements() + PIXELS,
    "a character set of millions": lambda: (
        meta(ImplicitVRLittleEndian) + element(0x0008_0005, "CS", b"\\" * 40 * MB, implicit=True)
    ),
    "a time for each of millions of frames": lambda: (
        meta(ImplicitVRLittleEndian)
        + clip((0x0018_1065, "DS", b"1\\" * 20 * MB), implicit=True)
        + element(0x7FE0_0010, "OW", bytes(200), implicit=True)
    ),
    "colours for pixels of 28 bits": lambda: meta(ExplicitVRLittleEndian) + palette(
        *((tag + 0x100, "OW", bytes(512)) for tag in COLOURS), bits=28
    ),
    "a colour table of long lines": lambda: meta(ExplicitVRLittleEndian) + palette(
        *((tag, "OW", ONE_COLOUR + LINES) for tag in SEGMENTED)
    ),
    "a colour table that repeats itself": lambda: meta(ExplicitVRLittleEndian) + palette(
        *((tag, "OW", ONE_COLOUR + struct.pack("<HHHH", 2, 65_535, 0, 0)) for tag in SEGMENTED)
    ),
    "pictures larger than the header says": lambda: (
        meta(JPEG2000Lossless) + clip() + ENCAPSULATED + item(b"") + item(large_picture()) * 2
    ),
    "millions of fragments": lambda: meta(JPEGBaseline8Bit) + clip() + ENCAPSULATED + item(b"") * 4 * MB,
    "millions of boxes": lambda: struct.pack(">I4s", 8, b"free") * 4 * MB,
}  # fmt: skip


@pytest.fixture(scope="module")
def narrow():
    """A reader whose child has 300 MB and, for each file, four to five seconds of a processor."""
    with GuardedReader(ChildLimits(memory_bytes=300 * MB, cpu_s=4, wall_s=60.0)) as reader:
        yield reader


def refusal(reader: GuardedReader, path: Path) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as refused:
        reader.read_echo(path, max_frames=31, every=2)
    return refused.value


@pytest.mark.parametrize("name", COSTLY)
def test_a_clip_made_to_cost_much_is_refused_and_the_child_lives(narrow, tmp_path, name):
    (tmp_path / "clip").write_bytes(COSTLY[name]())
    assert refusal(narrow, tmp_path / "clip").code != "reading_failed"
    if name.startswith("deflated"):
        assert refusal(narrow, tmp_path / "clip").code == "dicom_deflated"


def test_a_sparse_file_that_claims_a_table_of_a_gigabyte_is_refused(narrow, tmp_path):
    with open(tmp_path / "clip", "wb") as file:
        start = meta(JPEGBaseline8Bit) + clip() + ENCAPSULATED + struct.pack("<HHI", 0xFFFE, 0xE000, 1 << 30)
        file.write(start)
        file.truncate(len(start) + (1 << 30) + 1000)
    assert refusal(narrow, tmp_path / "clip").code == "too_many_frames"


def test_a_colour_table_of_segments_is_read_as_one_without(narrow, tmp_path):
    ramp = np.linspace(0, 65_535, 256).astype("<u2")
    whole = palette(*((tag + 0x100, "OW", ramp.tobytes()) for tag in COLOURS))
    segments = struct.pack("<HH", 0, 256) + ramp.tobytes()
    made = palette(*((tag, "OW", segments) for tag in SEGMENTED))
    for name, data in (("whole", whole), ("segments", made)):
        (tmp_path / name).write_bytes(meta(ExplicitVRLittleEndian) + data)
    found, expected = (narrow.read_echo(tmp_path / name).frames_THWC for name in ("segments", "whole"))
    np.testing.assert_array_equal(found, expected)
