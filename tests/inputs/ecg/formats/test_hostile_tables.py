"""Text tables made to cost much: refused at the price of counting, also out of a small zip; the largest one is read.

Each is read by a guarded child with little memory and time, so that one that takes more is not refused but dies.
"""

from __future__ import annotations

import io
import time
import zipfile

import numpy as np
import pytest

from inputs.ecg.formats.csv import CSV
from inputs.ecg.formats.text import lines_of
from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.guarded.reader import GuardedReader
from inputs.limits import MAX_SAMPLES, ChildLimits
from inputs.records import STANDARD_LEADS, ReadHints, UploadedFile

KNOWN = ReadHints(rate_hz=500.0, unit="mV")
MB = 10**6
HEADER = ",".join(STANDARD_LEADS)
TWO = b"I,II\n"
WIDE = b"I," + b"x," * 254 + b"x\n"

HOSTILE = {
    "newlines": lambda: TWO + b"\n" * 60 * MB,
    "only newlines": lambda: b"\n" * 60 * MB,
    "carriage returns": lambda: TWO + b"\r" * 60 * MB,
    "form feeds": lambda: TWO + b"\x0c" * 60 * MB,
    "vertical tabs": lambda: TWO + b"\x0b" * 60 * MB,
    "file separators": lambda: TWO + b"\x1c" * 60 * MB,
    "line separators": lambda: TWO + "\u2028".encode() * 20 * MB,
    "next lines": lambda: TWO + "\x85".encode() * 30 * MB,
    "blank lines": lambda: TWO + b" \n" * 30 * MB,
    "comments": lambda: TWO + b"#\n" * 30 * MB,
    "comments first": lambda: b"#,\n" * 20 * MB,
    "commas": lambda: b"," * 60 * MB,
    "commas below a header": lambda: TWO + b"," * 60 * MB,
    "one line": lambda: b"I,II" + b"a" * 60 * MB,
    "one line of letters of two bytes": lambda: b"I,II" + "é".encode() * 30 * MB,
    "quotes": lambda: TWO + b'"' * 60 * MB,
    "quotes in the header": lambda: b"I," + b'"' * 60 * MB,
    "a quote in every line": lambda: TWO + b'"\n' * 30 * MB,
    "quotes over lines": lambda: TWO + b'"1\n",2\n' * 8 * MB,
    "quotes over few lines": lambda: TWO + (b'"' + b"a" * 60_000 + b"\n") * 1000,
    "long rows after a quote": lambda: TWO + b'"1",2\n' + (b"," * 60_000 + b"\n") * 1000,
    "rows of 256 cells": lambda: WIDE + (b"1," * 255 + b"1\n") * 117_000,
    "rows of 256 empty cells": lambda: WIDE + (b"," * 255 + b"\n") * 234_000,
    "a row of too many cells in the end": lambda: TWO + b"1,2\n" * (MAX_SAMPLES - 1) + b"1,2,3\n",
    "rows without end": lambda: TWO + b"1,2\n" * 15 * MB,
    "huge numbers": lambda: TWO + (b"1" * MB + b",2\n") * 50,
    "zero bytes": lambda: TWO * 1000 + b"1,\0\n" * 15 * MB,
    "UTF-16 newlines": lambda: TWO.decode().encode("utf-16") + b"\n\0" * 30 * MB,
    "UTF-16 half letters": lambda: TWO.decode().encode("utf-16") + b"\0\xd8" * 30 * MB,
    "a lead without end in a row": lambda: b"I," + b"1," * 30 * MB,
    "a lead of a million samples in a row": lambda: b"I" + b",1" * MB + b"\n",
    "rows without end that name a lead": lambda: b"I,1,2,3\n" * 7 * MB,
    "numbers without end in a row": lambda: b"1," * 30 * MB,
    "blanks between two numbers": lambda: b"1" + b" " * 60 * MB + b"2\n",
    "rows of numbers and blanks": lambda: b"1 2\n" * 15 * MB,
    "one number a line": lambda: b"1\n" * 30 * MB,
    "lines before a header that never comes": lambda: b"a: b, I, II\n" * 5 * MB,
    "pairs of words": lambda: b"a,500 Hz\n" * 6 * MB,
    "an object without end": lambda: b'{"a":' * 12 * MB,
    "one lead in every column": lambda: b",".join([b"I"] * 256) + b"\n" + (b"1," * 255 + b"1\n") * 70_000,
}


def zipped(data: bytes) -> UploadedFile:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ecg.csv", data)
    return UploadedFile("ecg.zip", stream.getvalue())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_made_to_cost_much_is_refused_and_the_child_lives(narrow, name):
    with pytest.raises(UnreadableFile) as refused:
        narrow.read_ecg([UploadedFile("ecg.csv", HOSTILE[name]())], KNOWN)
    assert refused.value.code != "reading_failed"
    assert "\n" not in refused.value.in_full


@pytest.mark.parametrize("name", ["newlines", "only newlines", "commas", "rows of 256 empty cells"])
def test_a_small_zip_of_such_a_table_is_not_even_unpacked(narrow, name):
    upload = zipped(HOSTILE[name]())
    assert len(upload.data) < MB
    with pytest.raises(UnreadableFile) as refused:
        narrow.read_ecg([upload], KNOWN)
    assert refused.value.code == "too_long"
    assert "100 times its size" in refused.value.sentence


@pytest.mark.parametrize("name", HOSTILE)
def test_recognising_such_a_table_takes_no_time(name):
    data = HOSTILE[name]()
    started = time.process_time()
    assert CSV.recognises(data) in (True, False)
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_largest_table_that_is_read_takes_little_memory(encoding):
    table = "I,II,III,aVR,aVL,aVF\n" + (",".join(["0.1"] * 6) + "\n") * MAX_SAMPLES
    with GuardedReader(ChildLimits(memory_bytes=300 * MB, cpu_s=30, wall_s=60.0)) as reader:
        recording = reader.read_ecg([UploadedFile("ecg.csv", table.encode(encoding))], KNOWN)
    assert recording.signal_mv.shape == (6, MAX_SAMPLES)
    assert (recording.signal_mv == np.float32(0.1)).all()


@pytest.mark.parametrize(
    "header",
    ["I," + "_" * 60_000, "I,a" + " " * 60_000 + "b", "I," + "x (" * 20_000, "I,II" + ',"a' * 20_000],
    ids=["underscores", "spaces", "brackets", "quotes"],
)
def test_a_header_made_for_patterns_takes_no_time(header):
    started = time.process_time()
    with pytest.raises(UnreadableFile):
        read_ecg([UploadedFile("ecg.csv", f"{header}\none,two\n".encode())], KNOWN)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\x0c", "\u2028", "\x85"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lines_are_those_of_splitlines_wherever_a_block_ends(end, encoding):
    random = np.random.default_rng(0)
    text = end.join("é" * int(length) for length in random.integers(0, 40, 20_000)) + random.choice(["", end])
    assert list(lines_of(text.encode(encoding))) == text.splitlines()


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_in_utf_16_reads_as_in_utf_8(ecg, codec):
    mark = "" if codec == "utf-16" else "\ufeff"
    in_utf_16 = UploadedFile("ecg.txt", (mark + ecg.csv(separator="\t").data.decode()).encode(codec))
    found = read_ecg([in_utf_16], KNOWN)
    np.testing.assert_array_equal(found.signal_mv, read_ecg([ecg.csv(separator="\t")], KNOWN).signal_mv)


def test_xml_in_utf_16_is_refused_by_its_name_and_is_no_table():
    data = '<?xml version="1.0" encoding="UTF-16"?><a>1, 2, 3</a>'.encode("utf-16")
    assert not CSV.recognises(data)
    with pytest.raises(UnreadableFile, match="an XML file"):
        read_ecg([UploadedFile("ecg.xml", data)], KNOWN)


def test_a_quoted_header_may_hold_the_separator(ecg):
    table = UploadedFile("ecg.csv", b'"I";"II";"pressure, invasive"\n0,5;1,5;90\n0,25;1,25;91\n')
    found = read_ecg([table], KNOWN)
    np.testing.assert_array_equal(found.signal_mv, np.array([[0.5, 0.25], [1.5, 1.25]], np.float32))
    assert [warning.code for warning in found.warnings] == ["channels_ignored"]
