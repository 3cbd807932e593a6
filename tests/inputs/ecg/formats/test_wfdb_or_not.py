"""What looks a little like a WFDB header is one only where its signal lines say so too."""

from __future__ import annotations

import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import UploadedFile

FIRST_OBJECT = b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
ONE_LINE = b"1 0 obj << /Type /Catalog >> endobj\n"
BINARY = b"%\xac\xdc \xab\xba\n"
PDFS = [
    b"%PDF-1.4\n" + BINARY + FIRST_OBJECT,
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + FIRST_OBJECT,
    b"%PDF-1.7\r\n%\xe2\xe3\xcf\xd3\r\n" + FIRST_OBJECT.replace(b"\n", b"\r\n"),
    b"%PDF-1.3\r%\xe2\xe3\xcf\xd3\r" + FIRST_OBJECT.replace(b"\n", b"\r"),
    b"%PDF-1.4\n" + FIRST_OBJECT,
    b"%PDF-2.0\n" + ONE_LINE,
    b"\n\n%PDF-1.4\n" + FIRST_OBJECT,
    b"\xef\xbb\xbf%PDF-1.4\n" + BINARY + FIRST_OBJECT,
    b"\x1b%-12345X@PJL JOB\r\n%PDF-1.4\r\n" + FIRST_OBJECT,
    b"%PDF-1.5\n" + BINARY + b"12 0 obj\n5000\nendobj\n",
]
NOTES = [
    "HR 72 bpm\nPQ 160 ms\n",
    "HR 72 bpm\nPQ 160 ms\nQRS 90 ms\nQT 400 ms\nNormal ECG.\n",
    "HR 72\nPQ 160\nQRS 80\n",
    "Patient 12 500 5000\nECG recorded at rest\n",
    "Patient/2 12 500\nSeen at noon.\n",
]


def refusal(*files: UploadedFile) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files)
    return caught.value


@pytest.mark.parametrize("data", PDFS)
def test_a_pdf_is_called_one_wherever_its_first_object_stands(data):
    error = refusal(UploadedFile("x", data + b"trailer\n<< /Root 1 0 R >>\n%%EOF\n"))
    assert (error.code, error.sentence) == ("unsupported_format", "This is a PDF document, which is not read.")


def test_a_page_in_postscript_is_called_one():
    for start in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%Title: x\n12 dict begin\n", b"\xc5\xd0\xd3\xc6" + bytes(28)):
        assert "PostScript" in refusal(UploadedFile("x", start)).sentence


@pytest.mark.parametrize("note", NOTES)
def test_a_note_of_words_and_numbers_is_no_header(ecg, note):
    error = refusal(UploadedFile("x.txt", note.encode()))
    assert (error.code, "WFDB" in error.in_full) == ("unsupported_format", False)
    beside = read_ecg([*ecg.wfdb(), UploadedFile("x.txt", note.encode())])
    assert [warning.code for warning in beside.warnings] == ["files_ignored"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rec 12 500", "rec 72 500", "72 channels"),
        ("rec 12 500", "rec 11 500", "announces 11 signals"),
        ("rec 12 500", "rec 12 5oo", "malformed"),
        (" 1000(0)/mV", " 1000(zero)/mV", "signal line"),
        ("(0)/mV 16 0 ", "(0)/mV 16 zero ", "signal line"),
    ],
)
def test_a_damaged_header_is_still_told_its_damage(ecg, old, new, words):
    header, data = ecg.wfdb()
    damaged = header.data.replace(old.encode(), new.encode())
    assert damaged != header.data
    assert words in refusal(UploadedFile("x", damaged), data).sentence


def test_a_record_may_bear_the_mark_of_another_kind_as_its_name(ecg):
    for name in ("subject_WAVE", "PAR1", "ALIVE1"):
        assert read_ecg(ecg.wfdb(name=name)).warnings == ()
