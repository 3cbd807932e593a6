"""Formats are told apart by content, and a zip is one record unpacked in memory."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from inputs.ecg.leads import lead_from_code, lead_from_name
from inputs.ecg.read import gather_files, read_ecg, read_ecg_path
from inputs.errors import UnreadableFile
from inputs.records import ReadHints, UploadedFile


def refusal(files, **options) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files, ReadHints(**options))
    return caught.value


def zipped(*files: UploadedFile | tuple[zipfile.ZipInfo, bytes]) -> UploadedFile:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            name, data = (file.name, file.data) if isinstance(file, UploadedFile) else file
            archive.writestr(name, data)
    return UploadedFile("record.zip", stream.getvalue())


@pytest.mark.parametrize("name", ["ecg.dcm", "ecg.csv", "../../x", "", "x\0y\n"])
def test_name_of_a_file_decides_nothing(ecg, name):
    file = ecg.dicom(ecg.dicom_group(ecg.signal_mv()))
    assert read_ecg([UploadedFile(name, file.data)]).source_format == "dicom"


@pytest.mark.parametrize(
    ("data", "what", "way_out"),
    [
        (b'<?xml version="1.0"?><SomeECG/>', "XML", "DICOM"),
        (b"@ MFR Standard 12 leads ECG" + bytes(100), "MFER", "WFDB"),
        (b"%PDF-1.7\n", "PDF", "DICOM"),
        (b"PAR1" + bytes(100), "Parquet", "CSV"),
        (b"\x7fELF" + bytes(range(256)), "not recognised", "WFDB"),
    ],
)
def test_other_formats_are_refused_by_name_with_a_hint(data, what, way_out):
    error = refusal([UploadedFile("x", data)])
    assert error.code == "unsupported_format"
    assert what in str(error)
    assert way_out in error.hint


@pytest.mark.parametrize(
    "files", [[], [UploadedFile("ecg.csv", b"")], [UploadedFile("a", b""), UploadedFile("b", b"")]]
)
def test_nothing_is_refused(files):
    assert refusal(files).code == "file_empty"


def test_several_files_without_a_header_are_refused(ecg):
    assert refusal([ecg.csv(), ecg.csv()], rate_hz=500.0, unit="mV").code == "several_ecgs"


def test_damaged_file_is_one_sentence_without_its_content(ecg):
    data = ecg.dicom(ecg.dicom_group(ecg.signal_mv())).data.replace(b"SS", b"S\0")
    error = refusal([UploadedFile("ecg.dcm", data.replace(b"\x3a\x00\x1a\x00DS", b"\x3a\x00\x1a\x00XX"))])
    assert "Family" not in str(error)
    assert str(error).count(".") == 1


def test_cut_or_scrambled_files_are_read_or_refused_and_raise_nothing_else(ecg):
    random = np.random.default_rng(0)
    short = ecg.signal_mv()[:, :50]
    refused = 0
    for files in (ecg.wfdb(short), [ecg.dicom(ecg.dicom_group(short))], [ecg.npy(short)], [ecg.csv(short)]):
        first, *others = files
        for _ in range(60):
            data = bytearray(first.data[: random.integers(len(first.data) // 2, len(first.data) + 1)])
            for at in random.integers(0, len(data), 3):
                data[at] = random.integers(0, 256)
            try:
                read_ecg([UploadedFile(first.name, bytes(data)), *others], ReadHints(rate_hz=500.0, unit="mV"))
            except UnreadableFile:
                refused += 1
    assert refused > 120


def test_files_beside_a_header_are_found_whatever_the_case_of_their_names(ecg, tmp_path):
    header, data = ecg.wfdb()
    (tmp_path / "REC.HEA").write_bytes(header.data)
    (tmp_path / "REC.DAT").write_bytes(data.data)
    assert [file.name for file in gather_files(tmp_path / "REC.HEA")] == ["REC.HEA", "REC.DAT"]
    np.testing.assert_array_equal(read_ecg_path(tmp_path / "REC.HEA").signal_mv, read_ecg([header, data]).signal_mv)


@pytest.mark.parametrize("names", [("P1/REC.HEA", "P1/REC.DAT"), ("a/b/rec.hea", "rec.dat"), ("x.y.hea", "d/Rec.Dat")])
def test_names_in_a_zip_may_have_folders_and_capitals(ecg, names):
    header, data = ecg.wfdb()
    inside = zipped(*(UploadedFile(name, file.data) for name, file in zip(names, (header, data), strict=True)))
    np.testing.assert_array_equal(read_ecg([inside]).signal_mv, read_ecg([header, data]).signal_mv)


def test_an_npz_of_one_array_is_read_and_one_of_several_is_told_what_to_save(ecg):
    one, several = io.BytesIO(), io.BytesIO()
    np.savez(one, ecg.signal_mv())
    np.savez(several, ecg=ecg.signal_mv(), fs=500)
    known = ReadHints(rate_hz=500.0, unit="mV")
    assert read_ecg([UploadedFile("a.npz", one.getvalue())], known).signal_mv.shape == (12, 5000)
    error = refusal([UploadedFile("a.npz", several.getvalue())], rate_hz=500.0, unit="mV")
    assert error.sentence == "This is a NumPy .npz of 2 arrays."
    assert error.hint == "Save the one array of the ECG as .npy."


def test_missing_file_is_refused_without_its_path(tmp_path):
    with pytest.raises(UnreadableFile) as caught:
        read_ecg_path(tmp_path / "secret-name.dcm")
    assert "secret" not in str(caught.value)


def test_zip_of_a_record_reads_as_its_parts(ecg):
    header, data = ecg.wfdb()
    inside = zipped(UploadedFile("p100/rec.hea", header.data), UploadedFile("p100/rec.dat", data.data))
    np.testing.assert_array_equal(read_ecg([inside]).signal_mv, read_ecg([header, data]).signal_mv)


def test_zip_of_a_single_file_reads_as_the_file(ecg):
    file = ecg.dicom(ecg.dicom_group(ecg.signal_mv()))
    np.testing.assert_array_equal(read_ecg([zipped(file)]).signal_mv, read_ecg([file]).signal_mv)


def test_what_file_managers_add_to_a_zip_is_left_out(ecg):
    clutter = UploadedFile("__MACOSX/._rec.hea", b"\0\5\x16\7"), UploadedFile(".DS_Store", b"x")
    assert read_ecg([zipped(*ecg.wfdb(), *clutter)]).source_format == "wfdb"


@pytest.mark.parametrize("name", ["../rec.dat", "/var/rec.dat", "..\\rec.dat", "a/../../rec.dat"])
def test_zip_entry_that_points_outside_is_refused(ecg, name):
    header, data = ecg.wfdb()
    assert refusal([zipped(header, (zipfile.ZipInfo(name), data.data))]).code == "file_not_in_upload"


def test_symbolic_link_in_a_zip_is_refused(ecg):
    link = zipfile.ZipInfo("rec.dat")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    assert refusal([zipped(ecg.wfdb()[0], (link, b"/etc/passwd"))]).code == "unreadable_file"


def test_zip_bomb_is_refused_by_counting(ecg):
    bomb = zipped(ecg.wfdb()[0], UploadedFile("rec.dat", bytes(65 * 2**20)))
    assert len(bomb.data) < 200_000
    assert refusal([bomb]).code == "too_long"


def test_zip_that_lies_about_sizes_is_refused(ecg):
    data = bytearray(zipped(UploadedFile("rec.dat", bytes(10**6)), ecg.wfdb()[0]).data)
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    refusal([UploadedFile("record.zip", bytes(data))])


def test_zip_in_a_zip_is_refused(ecg):
    assert refusal([zipped(zipped(*ecg.wfdb()))]).code == "unreadable_file"


def test_zip_with_too_many_or_no_files_is_refused():
    assert refusal([zipped(*(UploadedFile(str(n), b"x") for n in range(33)))]).code == "too_many_files"
    assert refusal([zipped()]).code == "file_empty"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(ecg):
    header, data = ecg.wfdb()
    assert refusal([zipped(header, data, data)]).code == "several_files"


def test_damaged_zip_is_refused(ecg):
    data = zipped(*ecg.wfdb()).data
    refusal([UploadedFile("record.zip", data[: len(data) // 2])])
    middle = len(data) // 2
    refusal([UploadedFile("record.zip", data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])])


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("I", "I"), ("dii", "II"), ("D3", "III"), ("AVR", "aVR"), (" avf ", "aVF"), ("Lead I (Einthoven)", "I"),
        ("MDC_ECG_LEAD_V3", "V3"), ("lead_aVL", "aVL"), ("ECG Lead V6", "V6"), ("ECG II", "II"), ("vx", "VX"),
        ("-aVR", None), ("ECG 1", None), ("1", None), ("MLII", None), ("V", None), ("", None), ("CM5", None),
    ],
)  # fmt: skip
def test_lead_is_known_by_its_names(name, lead):
    assert lead_from_name(name) == lead


@pytest.mark.parametrize(
    ("code", "scheme", "lead"),
    [("5.6.3-9-1", "SCPECG", "I"), ("5.6.3-9-61", "SCPECG", "III"), ("2:63", "MDC", "aVL"), ("2:8", "mdc", "V6"),
     ("2:10", "MDC", None), ("5.6.3-9-1", "MDC", None), ("2:1", "99ACME", None), ("", "", None)],
)  # fmt: skip
def test_lead_is_known_by_its_code(code, scheme, lead):
    assert lead_from_code(code, scheme) == lead


def test_a_zip_with_a_password_is_called_encrypted(ecg):
    plain = zipped(*ecg.wfdb()).data
    locked = bytearray(plain)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = plain.find(mark)
        while at >= 0:
            locked[at + flags] |= 1
            at = plain.find(mark, at + 4)
    error = refusal([UploadedFile("a.zip", bytes(locked))])
    assert (error.code, error.sentence) == ("unreadable_file", "The zip is encrypted.")
    assert "password" in error.hint
    assert "Pack" in refusal([UploadedFile("a.zip", plain[:-30])]).hint


def test_a_stretch_beyond_the_end_is_refused_with_what_there_is(ecg):
    error = refusal(ecg.wfdb(), start_s=5.0)
    assert (error.code, "length_s, which is 10 s" in error.hint) == ("stretch_out_of_range", True)
    assert "10.0 s" in error.hint
