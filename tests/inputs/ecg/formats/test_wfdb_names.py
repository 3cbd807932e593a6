"""WFDB headers as they are found: names with dots, folders and capitals, decimals, comments, other names of leads."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, UploadedFile

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 120000\n" % 1


def refusal(files) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files)
    return caught.value


def edited(ecg, old: str, new: str) -> list[UploadedFile]:
    header, data = ecg.wfdb()
    assert old.encode() in header.data
    return [UploadedFile(header.name, header.data.replace(old.encode(), new.encode())), data]


def assert_read_right(ecg, files) -> None:
    recording = read_ecg(files)
    np.testing.assert_array_equal(recording.signal_mv, read_ecg(ecg.wfdb()).signal_mv)
    assert recording.lead_names == STANDARD_LEADS
    assert recording.warnings == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rec.dat", "records500/00000/rec.dat"),
        ("rec.dat", "sub\\rec.dat"),
        ("rec.dat", "REC.DAT"),
        ("rec.dat", "rec"),
        ("rec 12", "records500/00000/rec_hr 12"),
        ("rec 12", "records500/00001 12"),
        ("rec 12", "rec.1 12"),
        ("1000(0)/mV", "1000.0(0.0)/mV"),
        ("(0)/mV 16 0", "(0)/mV 16.0 0.00"),
        (" 500 5000", " 500/24000(1) 5000 11:02:03 1/2/2020"),
        ("rec 12 500 5000", "rec 12 500 5000 # twelve leads"),
        ("\n", " # noisy\n"),
        ("\n", "\t# noisy\r\n"),
    ],
)
def test_a_header_not_quite_by_the_book_is_read_where_nothing_in_it_is_in_doubt(ecg, old, new):
    assert_read_right(ecg, edited(ecg, old, new))


@pytest.mark.parametrize(("header_name", "data_name"), [("REC.HEA", "REC.DAT"), ("sub/rec.hea", "sub/rec.dat")])
def test_parts_fit_without_their_folders_and_capitals(ecg, header_name, data_name):
    header, data = ecg.wfdb()
    assert_read_right(ecg, [UploadedFile(header_name, header.data), UploadedFile(data_name, data.data)])


def test_a_name_to_the_letter_comes_before_one_in_capitals(ecg):
    header, data = ecg.wfdb()
    other = UploadedFile("REC.dat", bytes(len(data.data)))
    for files in ([header, data, other], [header, other, data]):
        recording = read_ecg(files)
        np.testing.assert_array_equal(recording.signal_mv, read_ecg([header, data]).signal_mv)
        assert [warning.code for warning in recording.warnings] == ["files_ignored"]


@pytest.mark.parametrize("names", [("REC.dat", "Rec.DAT"), ("a/rec.dat", "b/rec.dat")])
def test_two_parts_that_fit_one_name_are_refused(ecg, names):
    header, data = ecg.wfdb()
    assert refusal([header, *(UploadedFile(name, data.data) for name in names)]).code == "several_files"


def test_signals_in_thirteen_files_are_read(ecg):
    header, data = ecg.wfdb()
    lines = header.data.decode().split("\n")
    lines = [line.replace("rec.dat", f"rec_{place}.dat") for place, line in enumerate(lines)]
    columns = np.frombuffer(data.data, "<i2").reshape(-1, 12).T
    parts = [UploadedFile(f"rec_{place + 1}.dat", column.tobytes()) for place, column in enumerate(columns)]
    assert_read_right(ecg, [UploadedFile("rec.hea", "\n".join(lines).encode()), *parts])


@pytest.mark.parametrize(
    "names", [[f"ECG-{lead}" for lead in STANDARD_LEADS], [lead.replace("V", "C") if lead[0] == "V" else lead for lead
                                                           in STANDARD_LEADS]]
)  # fmt: skip
def test_leads_are_found_under_a_prefix_and_the_iec_names_of_the_chest_electrodes(ecg, names):
    assert read_ecg(ecg.wfdb(names=names)).lead_names == STANDARD_LEADS


def test_some_electrodes_of_an_eeg_are_no_chest_leads(ecg):
    names = ["I", "II", "III", "aVR", "aVL", "aVF", "C3", "C4", "F3", "F4", "O1", "O2"]
    assert read_ecg(ecg.wfdb(names=names)).lead_names == STANDARD_LEADS[:6]


def test_an_inverted_lead_stays_none_behind_a_prefix(ecg):
    assert "aVR" not in read_ecg(ecg.wfdb(names=["I", "II", "III", "ECG--aVR", *STANDARD_LEADS[4:]])).lead_names


@pytest.mark.parametrize(("old", "new"), [("(0)/mV", "(0.5)/mV"), ("(0)/mV 16 0", "(0)/mV 16 0.25")])
def test_a_baseline_between_two_counts_is_refused(ecg, old, new):
    assert "not a whole one" in refusal(edited(ecg, old, new)).sentence


def test_the_adc_zero_stands_for_a_baseline_that_is_not_given(ecg):
    header, data = ecg.wfdb(gain="1000/mV")
    header = UploadedFile(header.name, header.data.replace(b"/mV 16 0 ", b"/mV 16 100 "))
    found = read_ecg([header, data]).signal_mv
    np.testing.assert_allclose(found, ecg.signal_mv() - 0.1, rtol=0, atol=0.00051)


def test_checksums_of_zeros_are_none_and_one_wrong_one_is_a_warning(ecg):
    header, data = ecg.wfdb()
    lines = [line.split(" ") for line in header.data.decode().split("\n")]
    zeros = [" ".join([*line[:6], "0", *line[7:]]) if line[0] == "rec.dat" else " ".join(line) for line in lines]
    assert read_ecg([UploadedFile("rec.hea", "\n".join(zeros).encode()), data]).warnings == ()
    one = [zeros[0], " ".join([*lines[1][:6], "1", *lines[1][7:]]), *zeros[2:]]
    warnings = read_ecg([UploadedFile("rec.hea", "\n".join(one).encode()), data]).warnings
    assert [warning.code for warning in warnings] == ["checksum_mismatch"]


@pytest.mark.parametrize("line", ["0.5 12 0.25", "-1.5 3", "1.25e-3 4 7", "100 2 360 650000"])
def test_rows_of_numbers_are_a_table_and_no_header(line):
    error = refusal([UploadedFile("x", f"{line}\n{line}\n".encode())])
    assert (error.code, "WFDB" in error.sentence) == ("leads_missing", False)


def test_samples_alone_are_refused_with_what_they_lack(ecg):
    _, data = ecg.wfdb()
    error = refusal([UploadedFile("Family.DAT", data.data)])
    assert error.code == "file_missing"
    assert ".hea" in error.hint
    assert "Family" not in error.in_full
    matlab = np.array([30, 12, 5000, 0, 4], "<i4").tobytes() + b"val\0" + data.data
    assert "MATLAB 4" in refusal([UploadedFile("rec.mat", matlab)]).sentence
    assert "no WFDB header" in refusal([UploadedFile("rec.hea", b"no header"), data]).sentence


def test_what_was_never_fetched_is_refused_as_such(ecg):
    header, data = ecg.wfdb()
    for files in ([header, UploadedFile(data.name, POINTER)], [UploadedFile("rec.dat", POINTER)]):
        error = refusal(files)
        assert error.code == "file_not_fetched"
        assert "git lfs" in error.hint


@pytest.mark.parametrize("start", [np.array([30, 12, 5000, 0, 4], "<i4").tobytes() + b"val\0", b"MATLAB 5.0 MAT-file"])
def test_a_matlab_file_is_not_taken_for_bare_samples(ecg, start):
    header, data = ecg.wfdb()
    assert "MATLAB" in refusal([header, UploadedFile(data.name, start + data.data)]).sentence
