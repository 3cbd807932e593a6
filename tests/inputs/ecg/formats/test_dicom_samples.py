"""Samples of a DICOM waveform: every width, sign bits, units, skew and a chosen stretch, or a refusal by name."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, ReadHints

AMBULATORY = "1.2.840.10008.5.1.4.1.1.9.1.3"


def refusal(ecg, group, hints=NO_HINTS, **options) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([ecg.dicom(group, **options)], hints)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def group_of(ecg, dtype: str = "<i2", *, step_uv: float = 10.0, bits: int | None = None, mask: int | None = None):
    """Counts of the invented ECG in a type of samples. bits: those said to be stored. mask: of those kept."""
    counts = np.round(1000 * ecg.signal_mv() / step_uv)
    kind = np.dtype(dtype)
    baseline = 0.0
    if kind.kind == "u":
        counts, baseline = counts + 128, -128 * step_uv
    whole = counts.astype(np.int64)
    group = ecg.dicom_group(ecg.signal_mv(), sensitivity=step_uv)
    group.WaveformBitsAllocated = 8 * kind.itemsize
    group.WaveformSampleInterpretation = {"i1": "SB", "u1": "UB", "i2": "SS", "u2": "US", "i4": "SL", "u4": "UL"}[
        kind.str[1:]
    ]
    for channel in group.ChannelDefinitionSequence:
        channel.ChannelBaseline = f"{baseline:g}"
        channel.WaveformBitsStored = bits or 8 * kind.itemsize
    whole = whole if mask is None else whole & mask
    group.add_new("WaveformData", "OB" if kind.itemsize == 1 else "OW", whole.T.astype(kind).tobytes())
    return group


@pytest.mark.parametrize("dtype", ["<i1", "<u1", "<i2", "<u2", "<i4", "<u4"])
def test_counts_of_every_width_and_sign_are_the_same_millivolts(ecg, dtype):
    recording = read_ecg([ecg.dicom(group_of(ecg, dtype))])
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.0051)
    assert codes(recording) == []


@pytest.mark.parametrize(("dtype", "bits"), [("<i2", 12), ("<i2", 14), ("<i4", 24), ("<i4", 16), ("<i1", 8)])
def test_stored_bits_without_their_sign_get_it(ecg, dtype, bits):
    bare = read_ecg([ecg.dicom(group_of(ecg, dtype, bits=bits, mask=(1 << bits) - 1))])
    np.testing.assert_allclose(bare.signal_mv, ecg.signal_mv(), rtol=0, atol=0.0051)
    assert codes(bare) == ([] if dtype == "<i1" else ["sign_extended"])
    whole = read_ecg([ecg.dicom(group_of(ecg, dtype, bits=bits))])
    np.testing.assert_array_equal(whole.signal_mv, bare.signal_mv)
    assert codes(whole) == []


@pytest.mark.parametrize(("dtype", "count"), [("<i2", 5000), ("<i2", 2048), ("<i2", -2049), ("<u2", 4096)])
def test_samples_that_do_not_fit_their_stored_bits_are_refused(ecg, dtype, count):
    group = group_of(ecg, dtype, bits=12)
    counts = np.frombuffer(group.WaveformData, dtype).copy()
    counts[7] = count
    group.WaveformData = counts.tobytes()
    assert refusal(ecg, group).code == "bits_contradictory"


@pytest.mark.parametrize("bits", [None, 0, 1, 17])
def test_stored_bits_that_cannot_be_meant_are_all_of_them(ecg, bits):
    group = group_of(ecg)
    for channel in group.ChannelDefinitionSequence:
        del channel.WaveformBitsStored
        if bits is not None:
            channel.WaveformBitsStored = bits
    np.testing.assert_allclose(read_ecg([ecg.dicom(group)]).signal_mv, ecg.signal_mv(), rtol=0, atol=0.0051)


def test_padding_beyond_the_stored_bits_is_missing_and_no_contradiction(ecg):
    group = group_of(ecg, bits=12)
    counts = np.frombuffer(group.WaveformData, "<i2").copy()
    counts[:24] = 0x7FFF
    group.WaveformData = counts.tobytes()
    group.add_new("WaveformPaddingValue", "OW", b"\xff\x7f")
    assert np.isnan(read_ecg([ecg.dicom(group)]).signal_mv).sum() == 24


@pytest.mark.parametrize(
    ("code", "meaning", "factor"),
    [("uV", "microvolt", 1.0), ("266419", "x", 1.0), ("266418", "", 1000.0), ("x", "millivolt", 1000.0)],
)
def test_a_unit_is_known_by_code_or_meaning(ecg, code, meaning, factor):
    group = ecg.dicom_group(ecg.signal_mv())
    for channel in group.ChannelDefinitionSequence:
        units = channel.ChannelSensitivityUnitsSequence[0]
        units.CodeValue, units.CodeMeaning = code, meaning
        channel.ChannelSensitivity = f"{1 / factor:g}"
    np.testing.assert_allclose(read_ecg([ecg.dicom(group)]).signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_a_unit_that_contradicts_itself_is_refused(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    group.ChannelDefinitionSequence[2].ChannelSensitivityUnitsSequence[0].CodeMeaning = "millivolt"
    error = refusal(ecg, group)
    assert (error.code, error.leads) == ("unit_conflict", ("III",))


def test_each_channel_has_its_own_scale_factor_and_baseline(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    changed = group.ChannelDefinitionSequence[1]
    changed.ChannelSensitivity, changed.ChannelSensitivityCorrectionFactor = "4", "0.5"
    changed.ChannelBaseline = "-250"
    found = read_ecg([ecg.dicom(group)]).signal_mv
    expected = ecg.signal_mv()
    expected[1] = 2 * expected[1] - 0.25
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.0011)


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("ChannelSensitivity", "0", "unit_missing"),
        ("ChannelSensitivity", "", "unit_missing"),
        ("ChannelSensitivityCorrectionFactor", "0", "unit_missing"),
        ("ChannelSensitivityUnitsSequence", None, "unit_missing"),
    ],
)
def test_a_lead_of_no_scale_is_refused(ecg, keyword, value, code):
    group = ecg.dicom_group(ecg.signal_mv())
    channel = group.ChannelDefinitionSequence[8]
    del channel[keyword]
    if value is not None:
        setattr(channel, keyword, value)
    error = refusal(ecg, group)
    assert (error.code, error.leads) == (code, ("V3",))


@pytest.mark.parametrize(("keyword", "value"), [("ChannelSampleSkew", "3"), ("ChannelTimeSkew", "0.006")])
def test_a_channel_that_begins_later_is_aligned(ecg, keyword, value):
    signal = ecg.signal_mv()
    late = signal.copy()
    late[4, :-3] = signal[4, 3:]  # its first sample was taken when the others had three
    group = ecg.dicom_group(late)
    setattr(group.ChannelDefinitionSequence[4], keyword, value)
    recording = read_ecg([ecg.dicom(group)])
    assert codes(recording) == ["skew_corrected"]
    np.testing.assert_allclose(recording.signal_mv, signal[:, 3:], rtol=0, atol=0.00051)


def test_a_skew_that_all_share_or_of_less_than_a_sample_moves_nothing(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    for place, channel in enumerate(group.ChannelDefinitionSequence):
        channel.ChannelSampleSkew = f"{5 + place / 12:.3f}"
    recording = read_ecg([ecg.dicom(group)])
    assert (recording.signal_mv.shape, codes(recording)) == ((12, 5000), [])


def test_channels_that_begin_at_another_time_are_no_simultaneous_leads(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    group.ChannelDefinitionSequence[6].ChannelTimeSkew = "2.5"
    assert refusal(ecg, group).code == "leads_not_simultaneous"


def test_a_stretch_of_a_long_ambulatory_recording_is_read(ecg):
    signal = np.tile(ecg.signal_mv(seconds=8.0), 160)[:3]
    group = ecg.dicom_group(signal, ["I", "II", "V5"])
    assert signal.shape[1] > 600_000
    error = refusal(ecg, group, sop_class=AMBULATORY)
    assert (error.code, "start_s" in error.hint) == ("too_long", True)
    found = read_ecg([ecg.dicom(group, sop_class=AMBULATORY)], ReadHints(start_s=64.0, length_s=8.0))
    np.testing.assert_allclose(found.signal_mv, signal[:, 32_000:36_000], rtol=0, atol=0.00051)
    assert refusal(ecg, group, ReadHints(start_s=1e6), sop_class=AMBULATORY).code == "stretch_out_of_range"


@pytest.mark.parametrize("keyword", ["ChannelSensitivity", "ChannelBaseline", "ChannelSampleSkew"])
def test_a_number_that_is_none_is_refused(ecg, keyword):
    group = ecg.dicom_group(ecg.signal_mv())
    setattr(group.ChannelDefinitionSequence[0], keyword, "7.25")
    file = ecg.dicom(group)
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([type(file)(file.name, file.data.replace(b"7.25", b"7x25"))])
    assert caught.value.code == "unreadable_file"
    assert "malformed" in caught.value.sentence
