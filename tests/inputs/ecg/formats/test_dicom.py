"""DICOM waveforms: leads by code, the rhythm and not the averaged beat, lengths compared, padding with sense."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from inputs.ecg.read import read_ecg, read_ecg_path
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, ReadHints, UploadedFile

CLASSES = "1.2.840.10008.5.1.4.1.1.9."


def refusal(file: UploadedFile, **options) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([file], ReadHints(**options))
    return caught.value


def group_of(ecg, **options):
    return ecg.dicom_group(ecg.signal_mv(), **options)


def test_real_ecg_shipped_with_pydicom_is_its_rhythm_in_millivolt():
    path = Path(str(get_testdata_file("waveform_ecg.dcm", download=False)))
    recording = read_ecg_path(path)
    assert (recording.rate_hz, recording.signal_mv.shape) == (1000.0, (12, 10_000))
    assert recording.lead_names == STANDARD_LEADS
    microvolt = pydicom.dcmread(path).waveform_array(0).T
    np.testing.assert_allclose(recording.signal_mv, microvolt / 1000, rtol=0, atol=1e-6)
    assert recording.warnings == ()


@pytest.mark.parametrize("number", ["1.1", "1.2", "1.3", "1.4"])
def test_twelve_lead_general_and_ambulatory_ecgs_are_read(ecg, number):
    recording = read_ecg([ecg.dicom(group_of(ecg), sop_class=CLASSES + number)])
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)
    assert (recording.rate_hz, recording.source_format, recording.warnings) == (500.0, "dicom", ())


def test_channels_are_found_by_code_even_when_the_text_says_otherwise(ecg):
    order = (7, 0, 11, 1, 5, 2, 6, 4, 8, 10, 9, 3)
    leads = [STANDARD_LEADS[row] for row in order]
    recording = read_ecg([ecg.dicom(ecg.dicom_group(ecg.signal_mv()[list(order)], leads))])
    assert recording.lead_names == tuple(leads)


def test_channels_without_a_known_code_are_found_by_text(ecg):
    group = group_of(ecg)
    for channel, lead in zip(group.ChannelDefinitionSequence, STANDARD_LEADS, strict=True):
        channel.ChannelSourceSequence[0].CodeValue = "17"
        channel.ChannelSourceSequence[0].CodingSchemeDesignator = "99ACME"
        channel.ChannelSourceSequence[0].CodeMeaning = f"Lead {lead} (Einthoven)"
    assert read_ecg([ecg.dicom(group)]).lead_names == STANDARD_LEADS


@pytest.mark.parametrize(("unit", "sensitivity"), [("uV", 2.5), ("mV", 0.00122)])
def test_sensitivity_and_unit_become_millivolt(ecg, unit, sensitivity):
    recording = read_ecg([ecg.dicom(group_of(ecg, unit=unit, sensitivity=sensitivity))])
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.0013)


def test_ecg_lead_in_mmhg_is_refused(ecg):
    assert refusal(ecg.dicom(group_of(ecg, unit="mmHg", sensitivity=0.001))).code == "unit_not_voltage"


def test_lead_without_sensitivity_is_refused_by_name(ecg):
    group = group_of(ecg)
    del group.ChannelDefinitionSequence[4].ChannelSensitivity
    error = refusal(ecg.dicom(group))
    assert (error.code, error.leads) == ("unit_missing", ("aVL",))


def test_longest_original_group_wins_over_averaged_and_shorter_ones(ecg):
    average = ecg.dicom_group(np.ones((12, 9000)), originality="DERIVED")
    short = ecg.dicom_group(ecg.signal_mv(1)[:, :1250])
    recording = read_ecg([ecg.dicom(average, short, group_of(ecg))])
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_long_strip_of_one_lead_does_not_hide_the_twelve(ecg):
    strip = ecg.dicom_group(np.tile(ecg.signal_mv()[1:2], 6), ["II"])
    assert read_ecg([ecg.dicom(strip, group_of(ecg))]).lead_names == STANDARD_LEADS


def test_file_with_only_averaged_beats_is_refused(ecg):
    assert refusal(ecg.dicom(group_of(ecg, originality="DERIVED"))).code == "no_rhythm"


def test_zero_declared_as_padding_erases_no_genuine_sample(ecg):
    group = group_of(ecg)
    group.add_new("WaveformPaddingValue", "OW", b"\0\0")
    recording = read_ecg([ecg.dicom(group)])
    assert np.isfinite(recording.signal_mv).all()
    assert [warning.code for warning in recording.warnings] == ["padding_ignored"]


def test_declared_padding_is_missing_samples(ecg):
    signal = ecg.signal_mv()
    signal[2, 50:60] = 32.0
    group = ecg.dicom_group(signal)
    group.add_new("WaveformPaddingValue", "OW", struct.pack("<h", 32000))
    found = read_ecg([ecg.dicom(group)]).signal_mv
    assert np.argwhere(np.isnan(found)).tolist() == [[2, sample] for sample in range(50, 60)]


def test_most_negative_count_is_a_missing_sample_even_undeclared(ecg):
    signal = ecg.signal_mv()
    signal[2, 50:60] = np.nan
    assert np.isnan(read_ecg([ecg.dicom(ecg.dicom_group(signal))]).signal_mv).sum() == 10


@pytest.mark.parametrize("change", [-1, 1, 2500])
def test_number_of_samples_that_does_not_fit_the_data_is_refused(ecg, change):
    group = group_of(ecg)
    group.NumberOfWaveformSamples += change
    assert refusal(ecg.dicom(group)).code == "truncated"


def test_absurd_counts_are_refused_before_anything_is_allocated(ecg):
    group = group_of(ecg)
    group.NumberOfWaveformSamples, group.NumberOfWaveformChannels = 2**32 - 1, 65535
    assert refusal(ecg.dicom(group)).code == "too_many_channels"


def test_declared_length_past_the_end_of_the_file_is_refused(ecg):
    """pydicom says nothing, and here every sample is even there: still, what follows was cut off."""
    data = ecg.dicom(group_of(ecg)).data
    at = data.index(b"\x00\x54\x10\x10OW\x00\x00") + 8
    cut = data[:at] + struct.pack("<I", 0xFFFFFFF0) + data[at + 4 :]
    assert refusal(UploadedFile("ecg.dcm", cut)).code == "truncated"


@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_truncated_file_is_refused(ecg, share):
    data = ecg.dicom(group_of(ecg)).data
    refusal(UploadedFile("ecg.dcm", data[: int(share * len(data))]))


@pytest.mark.parametrize(("bits", "kind"), [(64, "SV"), (12, "SS"), (8, "MB"), (16, "XX")])
def test_sample_types_that_no_ecg_uses_are_refused(ecg, bits, kind):
    group = group_of(ecg)
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = bits, kind
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom writes these values, and says that it should not
        file = ecg.dicom(group)
    assert refusal(file).code == "unsupported_format"


def test_a_number_that_only_python_reads_is_refused(ecg):
    file = ecg.dicom(ecg.dicom_group(ecg.signal_mv(), rate_hz=777.0))
    odd = UploadedFile("ecg.dcm", file.data.replace(b"777.0", b"7_7.0"))
    assert odd.data != file.data
    assert refusal(odd).code == "unreadable_file"


def test_an_implicit_data_set_without_preamble_is_recognised(ecg):
    whole = ecg.dicom(ecg.dicom_group(ecg.signal_mv()), syntax=ImplicitVRLittleEndian)
    length = int.from_bytes(whole.data[140:144], "little")
    bare = UploadedFile("ecg.dcm", whole.data[144 + length :])
    np.testing.assert_array_equal(read_ecg([bare]).signal_mv, read_ecg([whole]).signal_mv)


def test_rate_of_zero_is_refused_and_a_contradicting_parameter_too(ecg):
    assert refusal(ecg.dicom(group_of(ecg, rate_hz=0.0))).code == "rate_out_of_range"
    assert refusal(ecg.dicom(group_of(ecg)), rate_hz=250.0).code == "rate_conflict"


def test_twelve_leads_in_a_haemodynamic_object_are_read_with_a_warning(ecg):
    recording = read_ecg([ecg.dicom(group_of(ecg), sop_class=CLASSES + "2.1")])
    assert [warning.code for warning in recording.warnings] == ["unusual_object"]


def test_ultrasound_image_is_no_ecg():
    path = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    with pytest.raises(UnreadableFile) as caught:
        read_ecg_path(path)
    assert caught.value.code == "not_an_ecg"


def test_waveform_class_without_a_waveform_is_no_ecg(ecg):
    assert refusal(ecg.dicom()).code == "not_an_ecg"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_implicit_and_deflated_files_read_as_the_explicit_one(ecg, syntax):
    plain = read_ecg([ecg.dicom(group_of(ecg))])
    other = read_ecg([ecg.dicom(group_of(ecg), syntax=syntax)])
    np.testing.assert_array_equal(other.signal_mv, plain.signal_mv)


def test_big_endian_samples_are_turned_around(ecg):
    group = group_of(ecg)
    swapped = np.frombuffer(group.WaveformData, "<i2").astype(">i2").tobytes()
    group.add_new("WaveformData", "OW", swapped)
    found = read_ecg([ecg.dicom(group, syntax=ExplicitVRBigEndian)])
    np.testing.assert_allclose(found.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_deflated_bomb_is_refused_without_inflating_it(ecg):
    data = ecg.dicom(group_of(ecg), syntax=DeflatedExplicitVRLittleEndian).data
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    squeeze = zlib.compressobj(wbits=-15)
    bomb = b"".join([squeeze.compress(bytes(2**20)) for _ in range(200)]) + squeeze.flush()
    assert refusal(UploadedFile("ecg.dcm", data[:start] + bomb)).code == "unreadable_file"


def test_file_hidden_in_the_preamble_is_refused(ecg):
    data = ecg.dicom(group_of(ecg)).data
    assert refusal(UploadedFile("ecg.dcm", b"MZ\x90\0" + data[4:])).code == "unreadable_file"


def test_nothing_of_the_patient_is_in_recording_or_refusal(ecg):
    told = repr(read_ecg([ecg.dicom(group_of(ecg))]))
    error = refusal(ecg.dicom(group_of(ecg, originality="DERIVED")))
    for secret in ("Family", "4471"):
        assert secret not in told + str(error) + error.hint
