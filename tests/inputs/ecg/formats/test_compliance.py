"""What every ECG format owes: recognised by content, whole or refused, leads and units by name, nobody's identity.

Whoever adds a format to `inputs.ecg.formats.FORMATS` adds its sample to SAMPLES, and runs through all of this. What
only one format does is tested in its own file.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from ecg_xml import aecg_series, aecg_set, aecg_xml, cardiosoft_xml, differences, philips_xml, xli
from mortara_files import mortara_channels, mortara_cycle, mortara_file
from muse_files import muse_file, muse_median, muse_rhythm
from signal_files import edf_of, ishne_of, scp_of

from inputs.ecg.formats import FORMATS, EcgFormat
from inputs.ecg.formats.not_read import name_if_not_read
from inputs.ecg.read import gather_files, read_ecg, read_ecg_path
from inputs.errors import InputError, UnreadableFile
from inputs.guarded.messages import pack_error, pack_recording, unpack_recording
from inputs.records import NO_HINTS, STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

SECRET = "Family"
"""Part of the name of every sample's file, and of a patient's name where the format has a place for one."""


@dataclass(frozen=True)
class Sample:
    """One ECG of twelve leads, 10 s at 500 Hz, `ecg.signal_mv()`, as a file of one format.

    files: what an upload holds, the file that is recognised first and the one with the samples last.
    hints: what a person must add: rate and unit for a format that states neither.
    holds_a_name: whether the format has a place for SECRET inside the file.
    """

    files: list[UploadedFile]
    hints: ReadHints = NO_HINTS
    holds_a_name: bool = True


def wfdb_sample(ecg) -> Sample:
    header, data = ecg.wfdb(names=[lead.lower() for lead in STANDARD_LEADS], name=SECRET)
    return Sample([header, data])


def dicom_sample(ecg) -> Sample:
    return Sample([UploadedFile(f"{SECRET}.dcm", ecg.dicom(ecg.dicom_group(ecg.signal_mv())).data)])


def npy_sample(ecg) -> Sample:
    counts = np.round(1000 * ecg.signal_mv()).astype(np.int16)
    return Sample([ecg.npy(counts, f"{SECRET}.npy")], ReadHints(rate_hz=500.0, unit="uV"), holds_a_name=False)


def csv_sample(ecg) -> Sample:
    first, *rows = ecg.csv(header=[lead.lower() for lead in STANDARD_LEADS]).data.decode().split("\n")
    text = "\n".join([first, f"# {SECRET} Name", *rows])
    return Sample([UploadedFile(f"{SECRET}.csv", text.encode())], ReadHints(rate_hz=500.0, unit="mV"))


def mat_sample(ecg) -> Sample:
    """Level 5: `ecg`, whole numbers in microvolt, and a text that holds a name."""

    def element(kind, content):
        return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)

    def variable(name, kind, shape, values):
        head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack("<2i", *shape))
        return element(14, head + element(1, name) + values)

    counts = np.round(1000 * ecg.signal_mv()).astype("<i2")
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM"
    patient = variable(b"patient", 4, (1, len(SECRET)), element(16, SECRET.encode()))
    signal = variable(b"ecg", 10, counts.shape, element(3, counts.tobytes(order="F")))
    return Sample([UploadedFile(f"{SECRET}.mat", header + patient + signal)], ReadHints(rate_hz=500.0, unit="uV"))


def hdf5_sample(ecg) -> Sample:
    """`tracings` of one exam, (exams, samples, leads), whole numbers in microvolt."""
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["patient"] = SECRET
        file["tracings"] = np.round(1000 * ecg.signal_mv().T[np.newaxis]).astype(np.int16)
    return Sample([UploadedFile(f"{SECRET}.h5", stream.getvalue())], ReadHints(rate_hz=500.0, unit="uV"))


def philips_sample(ecg) -> Sample:
    counts = np.round(1000 * ecg.signal_mv()).astype(int)
    text = philips_xml(xli(differences(counts)), counts.shape[1])
    return Sample([UploadedFile(f"{SECRET}.xml", text.encode())])


def cardiosoft_sample(ecg) -> Sample:
    return Sample([UploadedFile(f"{SECRET}.xml", cardiosoft_xml(ecg.signal_mv()).encode("iso-8859-1"))])


def aecg_sample(ecg) -> Sample:
    return Sample([UploadedFile(f"{SECRET}.xml", aecg_xml(aecg_series(aecg_set(ecg.signal_mv()))).encode())])


def muse_sample(ecg) -> Sample:
    signal_mv = ecg.signal_mv()
    return Sample([UploadedFile(f"{SECRET}.xml", muse_file(muse_median(signal_mv), muse_rhythm(signal_mv)))])


def mortara_sample(ecg) -> Sample:
    signal_mv = ecg.signal_mv()
    data = mortara_file(mortara_cycle(signal_mv), mortara_channels(signal_mv))
    return Sample([UploadedFile(f"{SECRET}.xml", data)])


def scp_sample(ecg) -> Sample:
    return Sample([UploadedFile(f"{SECRET}.scp", scp_of(ecg.signal_mv()))])


def ishne_sample(ecg) -> Sample:
    return Sample([UploadedFile(f"{SECRET}.ecg", ishne_of(ecg.signal_mv()))])


def edf_sample(ecg) -> Sample:
    return Sample([UploadedFile(f"{SECRET}.edf", edf_of(ecg.signal_mv()))])


SAMPLES: dict[str, Callable[..., Sample]] = {
    "wfdb": wfdb_sample,
    "npy": npy_sample,
    "dicom": dicom_sample,
    "muse": muse_sample,
    "philips": philips_sample,
    "cardiosoft": cardiosoft_sample,
    "mortara": mortara_sample,
    "aecg": aecg_sample,
    "scp": scp_sample,
    "ishne": ishne_sample,
    "edf": edf_sample,
    "csv": csv_sample,
    "hdf5": hdf5_sample,
    "mat": mat_sample,
}
"""By the name of the format. Add yours here."""

every_format = pytest.mark.parametrize("ecg_format", FORMATS, ids=lambda ecg_format: ecg_format.name)


@pytest.fixture
def sample(ecg, ecg_format: EcgFormat) -> Sample:
    assert ecg_format.name in SAMPLES, f"SAMPLES has no file of the format {ecg_format.name}"
    return SAMPLES[ecg_format.name](ecg)


def refusal(files: list[UploadedFile], hints: ReadHints) -> InputError:
    """The refusal of an upload, which is fit to be shown to a person and to travel out of a reading child."""
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files, hints)
    error = caught.value
    assert_fit_to_be_shown(error)
    return error


def assert_fit_to_be_shown(error: InputError) -> None:
    assert re.fullmatch("[a-z0-9_]{1,40}", error.code)
    assert re.fullmatch(r"[A-Z0-9][^\n]*\.", error.sentence)
    assert error.hint == "" or error.hint.endswith(".")
    assert SECRET not in repr(pack_error(error))


def assert_same(found: EcgRecording, expected: EcgRecording) -> None:
    np.testing.assert_array_equal(found.signal_mv, expected.signal_mv)
    assert (found.rate_hz, found.lead_names, found.source_format) == (
        expected.rate_hz, expected.lead_names, expected.source_format,
    )  # fmt: skip


def codes(recording: EcgRecording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def with_end(files: list[UploadedFile], data: bytes) -> list[UploadedFile]:
    """The upload with other bytes in its last file, the one with the samples."""
    return [*files[:-1], replace(files[-1], data=data)]


def test_every_format_has_one_name_and_one_sample():
    names = [ecg_format.name for ecg_format in FORMATS]
    assert sorted(names) == sorted(SAMPLES)


@every_format
def test_a_whole_file_is_read_as_the_millivolts_and_the_rate_that_were_recorded(ecg, ecg_format, sample):
    recording = read_ecg(sample.files, sample.hints)
    assert recording.source_format == ecg_format.name
    assert recording.rate_hz == 500.0
    assert recording.signal_mv.dtype == np.float32
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


@every_format
def test_leads_are_spelt_as_ours_however_the_file_spells_them(ecg_format, sample):
    assert read_ecg(sample.files, sample.hints).lead_names == STANDARD_LEADS


@every_format
@pytest.mark.parametrize("name", ["ecg", "ecg.dcm", "ecg.csv", "ecg.hea", "ecg.npy", "../../x", ""])
def test_a_file_is_recognised_by_its_content_under_any_name(ecg_format, sample, name):
    first, *others = sample.files
    assert ecg_format.recognises(first.data)
    renamed = read_ecg([replace(first, name=name), *others], sample.hints)
    assert_same(renamed, read_ecg(sample.files, sample.hints))


@every_format
def test_a_whole_file_is_an_ecg_beyond_doubt(ecg_format, sample):
    assert ecg_format.is_sure_of(sample.files[0].data)
    assert not ecg_format.is_sure_of(b"A note, with a comma\nand a second line\n")


@every_format
def test_files_of_other_formats_are_not_recognised(ecg, ecg_format):
    for name, sample_of in SAMPLES.items():
        for file in sample_of(ecg).files:
            if name != ecg_format.name:
                assert not ecg_format.recognises(file.data), f"a file of {name}"


@every_format
def test_a_file_is_not_taken_for_one_of_a_format_that_is_not_read(ecg_format, sample):
    assert [name_if_not_read(file.data) for file in sample.files] == [None] * len(sample.files)


@every_format
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 200, b"\n" * 200, b"a, b", bytes(range(256))])
def test_recognising_takes_any_bytes_without_an_error(ecg_format, data):
    assert ecg_format.recognises(data) in (True, False)


@every_format
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
def test_a_truncated_file_is_refused_with_a_sentence(ecg_format, sample, share):
    data = sample.files[-1].data
    error = refusal(with_end(sample.files, data[: int(share * len(data))]), sample.hints)
    assert "could not be read to the end" not in error.sentence, "what read_ecg says when a parser crashed"


@every_format
def test_a_file_cut_or_damaged_anywhere_is_read_or_refused_and_raises_nothing_else(ecg_format, sample):
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(15):
        for place, file in enumerate(sample.files):
            data = bytearray(file.data[: random.integers(1, len(file.data) + 1)])
            for at in random.integers(0, min(len(data), 3000), 2):
                data[at] = random.integers(0, 256)
            files = [*sample.files]
            files[place] = replace(file, data=bytes(data))
            try:
                read_ecg(files, sample.hints)
            except InputError as error:
                assert_fit_to_be_shown(error)
                refused += 1
    assert refused > 0


@every_format
def test_rate_and_unit_are_stated_by_the_file_or_asked_for(ecg_format, sample):
    if ecg_format.states_itself:
        assert sample.hints == NO_HINTS
        assert codes(read_ecg(sample.files)) == []
        return
    rate_hz, unit = sample.hints.rate_hz, sample.hints.unit
    nothing, only_rate, only_unit = (
        refusal(sample.files, hints) for hints in (NO_HINTS, ReadHints(rate_hz=rate_hz), ReadHints(unit=unit))
    )
    assert [error.code for error in (nothing, only_rate, only_unit)] == ["rate_missing", "unit_missing", "rate_missing"]
    assert "rate_hz" in nothing.hint
    assert "unit" in nothing.hint
    assert "rate_hz" not in only_rate.hint.split(",")[0]
    assert "unit" not in only_unit.hint.split(",")[0]


@every_format
@pytest.mark.parametrize("given", [{"unit": "V"}, {"leads": STANDARD_LEADS[::-1]}])
def test_a_unit_or_leads_given_are_used_or_refused_or_ignored_with_a_warning(ecg_format, sample, given):
    hints = replace(sample.hints, **given)
    plain = read_ecg(sample.files, sample.hints)
    if ecg_format.states_itself and "leads" in given:
        with pytest.raises(UnreadableFile) as caught:
            read_ecg(sample.files, hints)
        assert caught.value.code == "leads_conflict"
        return
    hinted = read_ecg(sample.files, hints)
    if ecg_format.states_itself:
        assert_same(hinted, plain)
        assert codes(hinted) == [*codes(plain), "parameter_ignored"]
        return
    assert "parameter_ignored" not in codes(hinted)
    assert hinted.lead_names == (hints.leads or STANDARD_LEADS)
    assert (hinted.signal_mv[0] == plain.signal_mv[0]).all() == (hints.unit == sample.hints.unit)


@every_format
def test_a_file_that_names_its_leads_is_confirmed_by_the_same_names(ecg_format, sample):
    spelt = [lead.lower() for lead in STANDARD_LEADS]
    assert_same(read_ecg(sample.files, replace(sample.hints, leads=tuple(spelt))), read_ecg(sample.files, sample.hints))
    if ecg_format.states_itself:
        nameless = read_ecg(sample.files, replace(sample.hints, leads=("first", "second")))
        assert codes(nameless)[-1] == "parameter_ignored"


@every_format
@pytest.mark.parametrize(("choice", "given"), [("exam", {"exam": "0"}), ("stretch", {"start_s": 2.0, "length_s": 3.0})])
def test_an_exam_or_a_stretch_is_what_is_read_or_ignored_with_a_warning(ecg_format, sample, choice, given):
    plain, chosen = (read_ecg(sample.files, replace(sample.hints, **more)) for more in ({}, given))
    if choice not in ecg_format.chooses:
        assert_same(chosen, plain)
        assert codes(chosen) == [*codes(plain), "parameter_ignored"]
        return
    part = slice(1000, 2500) if choice == "stretch" else slice(None)
    np.testing.assert_array_equal(chosen.signal_mv, plain.signal_mv[:, part])
    assert codes(chosen) == codes(plain)


@every_format
def test_an_exam_or_a_stretch_that_is_not_there_is_refused_where_it_is_chosen(ecg_format, sample):
    for choice, given in (("exam", {"exam": "7"}), ("stretch", {"start_s": 9.0, "length_s": 3.0})):
        if choice in ecg_format.chooses:
            error = refusal(sample.files, replace(sample.hints, **given))
            assert error.code in ("exam_not_found", "stretch_out_of_range")


@every_format
def test_what_the_device_said_comes_out_of_a_reading_child_as_it_was(ecg_format, sample):
    recording = read_ecg(sample.files, sample.hints)
    header, blocks = pack_recording(recording)
    assert unpack_recording((header, [bytearray(block) for block in blocks])).said == recording.said


@every_format
def test_a_rate_that_contradicts_the_file_is_refused_and_one_that_confirms_it_is_not(ecg_format, sample):
    if ecg_format.states_itself:
        assert refusal(sample.files, ReadHints(rate_hz=250.0)).code == "rate_conflict"
    assert_same(read_ecg(sample.files, replace(sample.hints, rate_hz=500.0)), read_ecg(sample.files, sample.hints))
    for none in (0.0, -500.0, float("nan"), float("inf")):
        assert refusal(sample.files, replace(sample.hints, rate_hz=none)).code in ("rate_out_of_range", "rate_conflict")


@every_format
def test_a_path_an_upload_and_a_zip_of_it_give_the_same(ecg_format, sample, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for file in sample.files:
            (tmp_path / file.name).write_bytes(file.data)
            archive.writestr(file.name, file.data)
    (tmp_path / "another.dat").write_bytes(b"not asked for")
    path = tmp_path / sample.files[0].name
    expected = read_ecg(sample.files, sample.hints)
    assert gather_files(path) == sample.files
    assert_same(read_ecg_path(path, sample.hints), expected)
    assert_same(read_ecg([UploadedFile("record.zip", stream.getvalue())], sample.hints), expected)


@every_format
def test_companions_are_those_files_that_a_record_cannot_be_read_without(ecg_format, sample):
    first, *others = sample.files
    if ecg_format.companions is None:
        assert others == []
        assert refusal([first, first], sample.hints).code == "several_ecgs"
        return
    assert list(ecg_format.companions(first.data)) == [file.name for file in others]
    assert refusal([first], sample.hints).code == "file_missing"


@every_format
def test_nothing_that_names_a_patient_is_in_the_recording(ecg_format, sample):
    assert (SECRET.encode() in b"".join(file.data for file in sample.files)) == sample.holds_a_name
    recording = read_ecg(sample.files, sample.hints)
    assert SECRET not in repr(recording)
    assert SECRET not in repr(pack_recording(recording))
    assert SECRET.encode() not in recording.signal_mv.tobytes()
