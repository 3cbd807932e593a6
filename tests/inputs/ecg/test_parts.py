"""Every part of an upload is accounted for: read, named as another ECG, or counted among those left out."""

from __future__ import annotations

import io
import itertools
import zipfile

import numpy as np
import pytest
from signal_files import edf_of, scp_of

from inputs.ecg.read import gather_files, read_ecg
from inputs.errors import UnreadableFile
from inputs.limits import MAX_ECG_FILE_BYTES
from inputs.records import NO_HINTS, ReadHints, UploadedFile

KNOWN = ReadHints(rate_hz=500.0, unit="mV")
NOTES = {
    "README": b"This record, like others, was made in 1999.\nIt has twelve leads.\n",
    "VERSION": b"Version 2\nof the data set\n",
    "about.txt": b"I, the author, made this\nrecord in 1999, in the spring\n",
    "beats.csv": b"sample,symbol\n77,N\n370,V\n",
    "rec.atr": bytes(range(1, 60)) + b"\n,,,\n" + bytes(range(60)),
    "rec.xyz": np.random.default_rng(0).integers(-500, 500, 3000).astype("<i2").tobytes(),
    "SHA256SUMS": b"%064d  rec.dat\n%064d  rec.hea\n" % (1, 2),
    "report.pdf": b"%PDF-1.7\n",
    "empty": b"",
}


def refusal(files, hints=KNOWN) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files, hints)
    return caught.value


def zipped(files) -> list[UploadedFile]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for file in files:
            archive.writestr(file.name, file.data)
    return [UploadedFile("ecg.zip", stream.getvalue())]


def ways(files):
    """In every order, and in a zip."""
    yield from (list(order) for order in itertools.permutations(files))
    yield zipped(files)


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def segments(ecg) -> list[UploadedFile]:
    signal = ecg.signal_mv()
    first, second = ecg.wfdb(signal[:, :2000], name="s1"), ecg.wfdb(signal[:, 2000:], name="s2")
    return [UploadedFile("m.hea", b"m/2 12 500 5000\ns1 2000\ns2 3000\n"), *first, *second]


@pytest.fixture
def others(ecg) -> dict[str, UploadedFile]:
    """An ECG of another patient in every format of one file, under names that would tell."""
    signal = ecg.signal_mv(seed=7)
    return {
        "DICOM": UploadedFile("Family.dcm", ecg.dicom(ecg.dicom_group(signal)).data),
        "NPY": UploadedFile("Family.npy", ecg.npy(signal).data),
        "CSV": UploadedFile("Family.csv", ecg.csv(signal).data),
        "EDF": UploadedFile("Family.edf", edf_of(signal)),
        "SCP": UploadedFile("Family.scp", scp_of(signal)),
        "MFER": UploadedFile("Family.mwf", b"@ MFR Standard 12 leads ECG" + bytes(100)),
    }


@pytest.mark.parametrize("name", ["DICOM", "NPY", "CSV", "EDF", "SCP", "MFER"])
def test_an_ecg_of_another_format_beside_a_record_is_refused_whichever_comes_first(ecg, others, name):
    for files in ways([*ecg.wfdb(), others[name]]):
        error = refusal(files)
        assert error.code == "several_ecgs"
        assert error.sentence == f"The upload holds more than one ECG (1 WFDB, 1 {name})."
        assert "Family" not in error.in_full


@pytest.mark.parametrize("name", ["DICOM", "NPY", "CSV"])
def test_two_ecgs_of_one_format_are_refused(others, name):
    for files in ways([others[name], UploadedFile("again", others[name].data)]):
        assert refusal(files).sentence == f"The upload holds more than one ECG (2 {name})."


@pytest.mark.parametrize("before", [b"", b"# patient two\n", b"\n", b"\xef\xbb\xbf", b"#" + b"x" * 9000 + b"\n"])
@pytest.mark.parametrize("name", ["CSV", "WFDB"])
def test_a_second_ecg_is_refused_whatever_stands_before_its_first_line(ecg, others, name, before):
    first, *rest = [others["CSV"]] if name == "CSV" else ecg.wfdb(name="other")
    second = [UploadedFile(first.name, before + first.data), *rest]
    for files in ways([others["DICOM"], *second]):
        assert refusal(files).code == "several_ecgs"


@pytest.mark.parametrize("row", ["mV,mV", "-,-", "[uV],[uV]", ",", "n/a,0.5", "0.5", "0,1,2"])
def test_a_second_ecg_is_refused_though_its_table_begins_with_units_or_gaps_or_is_ragged(others, row):
    table = UploadedFile("b.csv", f"I,II\n{row}\n0.5,0.25\n".encode())
    assert refusal([others["DICOM"], table]).sentence == "The upload holds more than one ECG (1 DICOM, 1 CSV)."


def test_leads_listed_in_a_note_are_no_second_ecg(others):
    notes = [UploadedFile("leads.txt", b"I,II,III\n"), UploadedFile("leads.csv", b"I,II\nleft arm,left leg\n")]
    assert codes(read_ecg([others["DICOM"], *notes])) == ["files_ignored"]


def test_dicom_files_of_other_classes_are_no_second_ecg(ecg, others):
    image = ecg.dicom(sop_class="1.2.840.10008.5.1.4.1.1.2")
    waveform = b"\x04\0\x10\x15UI\x1d\x001.2.840.10008.5.1.4.1.1.9.1.1"  # a directory tells of ECGs and is none
    directory = ecg.dicom(sop_class="1.2.840.10008.1.3.10")
    directory = UploadedFile("DICOMDIR", directory.data + waveform)
    for other in (image, directory, UploadedFile("bare.dcm", image.data[132:])):
        for files in ways([others["DICOM"], other]):
            recording = read_ecg(files)
            assert (recording.source_format, codes(recording)) == ("dicom", ["files_ignored"])
    assert refusal([image]).code == "not_an_ecg"
    assert refusal([image, directory]).sentence == "The upload holds several files that may be ECGs (2 DICOM)."


def test_a_dicom_file_that_does_not_say_its_class_is_not_left_out(ecg, others):
    unsaid = others["DICOM"].data.replace(b"\x08\0\x16\0UI", b"\x08\0\x17\0UI").replace(b"\2\0\2\0UI", b"\2\0\2\1UI")
    assert refusal([others["DICOM"], UploadedFile("b.dcm", unsaid)]).code == "several_ecgs"


def test_two_records_of_which_neither_is_the_others_segment_are_refused(ecg):
    for files in (
        [*ecg.wfdb(), *ecg.wfdb(name="other")],
        [*segments(ecg), *ecg.wfdb(name="other")],
        [*ecg.wfdb(), ecg.wfdb(name="other")[0]],
        [*segments(ecg), UploadedFile("n.hea", b"n/1 12 500 2000\ns1 2000\n")],
    ):
        assert refusal(files).sentence == "The upload holds more than one ECG (2 WFDB)."
        assert refusal(zipped(files)).code == "several_ecgs"


def test_segments_and_their_signal_files_are_parts_of_the_one_record(ecg):
    for files in ways(segments(ecg)):
        recording = read_ecg(files)
        assert recording.signal_mv.shape == (12, 5000)
        assert codes(recording) == []


def test_headers_that_name_each_other_are_refused(ecg):
    first, second = b"a/1 12 500 5000\nb 5000\n", b"b/1 12 500 5000\na 5000\n"
    assert "segments itself" in str(refusal([UploadedFile("a.hea", first), UploadedFile("b.hea", second)]))
    assert "segments itself" in str(refusal([UploadedFile("a.hea", b"a/1 12 500 5000\na 5000\n")]))


@pytest.mark.parametrize("name", NOTES)
def test_what_nobody_recognises_or_names_is_left_out_with_a_warning(ecg, name):
    expected = read_ecg(ecg.wfdb())
    for files in ways([*ecg.wfdb(), UploadedFile(name, NOTES[name])]):
        recording = read_ecg(files)
        np.testing.assert_array_equal(recording.signal_mv, expected.signal_mv)
        assert codes(recording) == ["files_ignored"]
        assert recording.warnings[0].message == "1 file of the upload does not belong to this ECG and was not read."


@pytest.mark.parametrize("kind", ["DICOM", "NPY", "CSV"])
def test_notes_beside_an_ecg_of_one_file_are_left_out_and_counted(others, kind):
    notes = [UploadedFile(name, data) for name, data in NOTES.items()]
    hints = NO_HINTS if kind == "DICOM" else KNOWN
    for files in ([others[kind], *notes], [*notes, others[kind]], zipped([*notes, others[kind]])):
        recording = read_ecg(files, hints)
        np.testing.assert_array_equal(recording.signal_mv, read_ecg([others[kind]], hints).signal_mv)
        assert recording.warnings[-1].message.startswith(f"{len(NOTES)} files of the upload do not belong")


def test_a_signal_file_that_reads_like_a_table_is_still_the_records(ecg):
    header = UploadedFile(
        "rec.hea", b"rec 2 500 4\nrec.dat 16 1000/mV 16 0 0 0 0 I\nrec.dat 16 1000/mV 16 0 0 0 0 II\n"
    )
    table = UploadedFile("rec.dat", b"I,II\n1,2\n3,4\n5,6\n")
    for files in ([header, table], [table, header], zipped([table, header])):
        assert read_ecg(files).source_format == "wfdb"
        assert "files_ignored" not in codes(read_ecg(files))


def test_a_record_that_is_damaged_is_refused_for_its_damage_though_notes_lie_beside_it(ecg):
    header, data = ecg.wfdb()
    damaged = UploadedFile("rec.hea", header.data.replace(b"rec.dat 16 ", b"rec.dat 17x ", 1))
    for files in ways([damaged, data, UploadedFile("README", NOTES["README"])]):
        assert "WFDB" in str(refusal(files))


def test_a_table_without_lead_names_is_read_beside_a_note_where_they_are_given(ecg):
    table = ecg.csv(ecg.signal_mv()[:2], header=["first", "second"])
    hints = ReadHints(rate_hz=500.0, unit="mV", leads=("I", "II"))
    recording = read_ecg([table, UploadedFile("VERSION", b"two\n")], hints)
    assert recording.lead_names == ("I", "II")
    assert codes(recording) == ["files_ignored"]


def test_files_none_of_which_is_an_ecg_are_refused_by_what_one_of_them_is(others):
    assert refusal([UploadedFile("a", b"a\n"), UploadedFile("b", b"b\n")]).code == "several_files"
    assert "an MFER file, which is not read" in str(refusal([UploadedFile("a", b"a\n"), others["MFER"]]))


def test_names_that_come_twice_matter_only_where_the_record_needs_them(ecg):
    header, data = ecg.wfdb()
    note = UploadedFile("README", b"a note\n")
    assert codes(read_ecg([header, data, note, note])) == ["files_ignored"]
    assert refusal([header, data, data]).code == "several_files"


def test_a_zip_beside_other_files_is_refused_and_not_left_out(ecg):
    assert refusal([*ecg.wfdb(), *zipped(ecg.wfdb(name="other"))]).code == "several_files"


def test_a_hidden_file_in_a_zip_is_accounted_for_and_what_file_managers_add_is_not(ecg, others):
    hidden = UploadedFile(".Family.dcm", others["DICOM"].data)
    assert refusal(zipped([*ecg.wfdb(), hidden])).code == "several_ecgs"
    clutter = [UploadedFile(name, b"x") for name in ("__MACOSX/._rec.hea", "._rec.dat", ".DS_Store")]
    assert codes(read_ecg(zipped([*ecg.wfdb(), *clutter]))) == []


def test_gathering_takes_what_a_record_names_and_nothing_that_merely_lies_there(ecg, others, tmp_path):
    for file in [*segments(ecg), *ecg.wfdb(name="other"), *others.values()]:
        (tmp_path / file.name).write_bytes(file.data)
    gathered = gather_files(tmp_path / "m.hea")
    assert {file.name for file in gathered} == {"m.hea", "s1.hea", "s1.dat", "s2.hea", "s2.dat"}
    assert codes(read_ecg(gathered)) == []


def test_gathering_takes_a_signal_file_for_no_header_whatever_it_holds(ecg, tmp_path):
    header, _ = ecg.wfdb()
    (tmp_path / "rec.hea").write_bytes(header.data)
    (tmp_path / "rec.dat").write_bytes(b"Version 2\n" + bytes(120_000))
    assert [file.name for file in gather_files(tmp_path / "rec.hea")] == ["rec.hea", "rec.dat"]


def test_a_record_of_many_large_files_is_refused_before_all_of_them_are_held(tmp_path):
    lines = [f"f{number}.dat 16 1000/mV 16 0 0 0 0 I" for number in range(60)]
    (tmp_path / "rec.hea").write_text("\n".join(["rec 60 500 100", *lines]))
    for number in range(60):
        with open(tmp_path / f"f{number}.dat", "wb") as file:
            file.truncate(MAX_ECG_FILE_BYTES)
    with pytest.raises(UnreadableFile) as refused:
        gather_files(tmp_path / "rec.hea")
    assert refused.value.code == "file_too_large"
    names = [f"s{number}" for number in range(40)]
    (tmp_path / "m.hea").write_text("\n".join(["m/40 1 500 400", *(f"{name} 10" for name in names)]))
    for name in names:
        (tmp_path / f"{name}.hea").write_text(f"{name} 1 500 10\n{name}.dat 16 1000/mV 16 0 0 0 0 I\n")
        (tmp_path / f"{name}.dat").write_bytes(bytes(20))
    with pytest.raises(UnreadableFile) as refused:
        gather_files(tmp_path / "m.hea")
    assert refused.value.code == "too_many_files"


def test_a_header_and_data_from_folders_beside_each_other_are_no_record(ecg):
    header, signals = ecg.wfdb(name="rec")
    apart = [UploadedFile("p1/rec.hea", header.data), UploadedFile("p2/" + signals.name, signals.data)]
    for files in (apart, zipped(apart)):
        assert refusal(files).code == "files_apart"
    both = [*apart, UploadedFile("p1/" + signals.name, ecg.wfdb(ecg.signal_mv(seed=7), name="rec")[1].data)]
    assert refusal(zipped(both)).code in ("several_files", "several_ecgs")


@pytest.mark.parametrize("folders", [("p1/", "p1/"), ("", "data/"), ("a/", "a/data/"), ("a/headers/", "a/")])
def test_a_record_may_lie_in_a_folder_and_those_below_it(ecg, folders):
    files = [UploadedFile(folder + file.name, file.data) for folder, file in zip(folders, ecg.wfdb(), strict=True)]
    for upload in (files, zipped(files)):
        assert read_ecg(upload).signal_mv.shape == (12, 5000)


def test_a_zip_whose_names_have_the_backslashes_of_windows_is_read(ecg):
    files = [UploadedFile("p1\\" + file.name, file.data) for file in ecg.wfdb()]
    assert read_ecg(zipped(files)).signal_mv.shape == (12, 5000)


@pytest.mark.parametrize(
    "name", ["..\\..\\a.hea", "C:\\a.hea", "\\a.hea", "/a.hea", "a/../../b.hea", "\\\\host\\a.hea"]
)
def test_a_zip_that_points_outside_of_itself_is_refused_however_it_is_written(name):
    assert refusal(zipped([UploadedFile(name, b"x")])).code == "file_not_in_upload"
