"""Multiplex groups of a DICOM waveform: joined where they are of one time, refused by name where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, UploadedFile


def refusal(file: UploadedFile) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([file])
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def parts_of(ecg, *sizes: int, offsets_ms=None, seconds: float = 10.0, **options):
    """The twelve leads in groups of so many leads each."""
    groups, first = [], 0
    for place, size in enumerate(sizes):
        leads = STANDARD_LEADS[first : first + size]
        group = ecg.dicom_group(ecg.signal_mv(seconds=seconds)[first : first + size], leads, **options)
        group.MultiplexGroupTimeOffset = 0 if offsets_ms is None else offsets_ms[place]
        groups.append(group)
        first += size
    return groups


def named_by_text(group, *texts: str, keyword: str = "CodeMeaning"):
    """The group with a code of nobody's and a text for each channel."""
    for channel, text in zip(group.ChannelDefinitionSequence, texts, strict=True):
        source = channel.ChannelSourceSequence[0]
        source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = "9", "99LOCAL", "x"
        setattr(source if keyword == "CodeMeaning" else channel, keyword, text)
    return group


@pytest.mark.parametrize("sizes", [(6, 6), (3, 3, 3, 3)])
def test_groups_of_one_time_are_joined(ecg, sizes):
    recording = read_ecg([ecg.dicom(*parts_of(ecg, *sizes))])
    assert (recording.lead_names, codes(recording)) == (STANDARD_LEADS, [])
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_groups_that_do_not_say_their_time_are_not_joined(ecg):
    groups = parts_of(ecg, 6, 6)
    for group in groups:
        del group.MultiplexGroupTimeOffset
    assert refusal(ecg.dicom(*groups)).code == "leads_not_simultaneous"


def test_a_3x4_layout_is_not_taken_for_a_simultaneous_ecg(ecg):
    layout = parts_of(ecg, 3, 3, 3, 3, offsets_ms=(0, 2500, 5000, 7500), seconds=2.5)
    strip = ecg.dicom_group(ecg.signal_mv()[1:2], ["II"])
    for groups in (layout, [*layout, strip], [strip, *layout]):
        error = refusal(ecg.dicom(*groups))
        assert (error.code, "3x4" in error.hint) == ("leads_not_simultaneous", True)


def test_leads_of_different_rates_are_refused_by_name(ecg):
    limb, _ = parts_of(ecg, 6, 6)
    _, chest = parts_of(ecg, 6, 6, rate_hz=250.0)
    assert refusal(ecg.dicom(limb, chest)).code == "rates_differ"


def test_a_further_recording_is_left_out_with_a_warning(ecg):
    later = ecg.dicom_group(ecg.signal_mv(1)[:, :2500])
    later.MultiplexGroupTimeOffset = 60_000
    recording = read_ecg([ecg.dicom(later, ecg.dicom_group(ecg.signal_mv()))])
    assert codes(recording) == ["groups_ignored"]
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_of_two_groups_with_the_same_leads_the_one_called_rhythm_is_read(ecg):
    filtered, rhythm = ecg.dicom_group(ecg.signal_mv(1)), ecg.dicom_group(ecg.signal_mv())
    filtered.MultiplexGroupLabel, rhythm.MultiplexGroupLabel = "FILTERED", "RHYTHM"
    recording = read_ecg([ecg.dicom(filtered, rhythm)])
    assert codes(recording) == ["groups_ignored"]
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


@pytest.mark.parametrize(
    "label", ["MEDIAN BEAT", "Average beat", "AVERAGE", "MEDIAN_BEAT", "AVG BEAT", "REPRESENTATIVE", "template"]
)
def test_an_averaged_beat_that_calls_itself_original_is_none(ecg, label):
    beat = ecg.dicom_group(ecg.signal_mv(1, seconds=2.9))
    beat.MultiplexGroupLabel = label
    assert refusal(ecg.dicom(beat)).code == "no_rhythm"
    recording = read_ecg([ecg.dicom(beat, ecg.dicom_group(ecg.signal_mv()))])
    assert (recording.signal_mv.shape, codes(recording)) == ((12, 5000), [])


def test_what_lasts_a_second_beside_a_rhythm_is_a_beat_whatever_it_is_called(ecg):
    beat = ecg.dicom_group(ecg.signal_mv(1, seconds=1.2))
    wanted = [0, 1, *range(6, 12)]
    rhythm = ecg.dicom_group(ecg.signal_mv()[wanted], [STANDARD_LEADS[row] for row in wanted])
    recording = read_ecg([ecg.dicom(beat, rhythm)])
    assert (recording.signal_mv.shape, codes(recording)) == ((8, 5000), ["groups_ignored"])


def test_of_two_rhythms_the_first_is_read_and_the_warning_says_when_it_begins(ecg):
    first, second = ecg.dicom_group(ecg.signal_mv()), ecg.dicom_group(ecg.signal_mv(1))
    first.MultiplexGroupTimeOffset, second.MultiplexGroupTimeOffset = 1500, 60_000
    recording = read_ecg([ecg.dicom(first, second)])
    (warning,) = recording.warnings
    assert "12 leads over 10 s that begins at 1.5 s was read" in warning.message
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_a_lead_that_a_modifier_turns_upside_down_is_another_one(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    modifier = Dataset()
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = "9", "99LOCAL", "Inverted"
    group.ChannelDefinitionSequence[3].ChannelSourceModifiersSequence = [modifier]
    recording = read_ecg([ecg.dicom(group)])
    assert ("aVR" in recording.lead_names, codes(recording)) == (False, ["channels_ignored"])


def test_eight_leads_are_enough_where_the_others_follow_from_them(ecg):
    wanted = [0, 1, *range(6, 12)]
    eight = ecg.dicom_group(ecg.signal_mv()[wanted], [STANDARD_LEADS[row] for row in wanted])
    others = ecg.dicom_group(ecg.signal_mv()[2:6, :1000], STANDARD_LEADS[2:6])
    recording = read_ecg([ecg.dicom(eight, others)])
    assert (len(recording.lead_names), codes(recording)) == (8, ["groups_ignored"])


def test_a_pressure_beside_the_ecg_is_no_further_recording(ecg):
    pressure = named_by_text(ecg.dicom_group(ecg.signal_mv()[:1], ["I"], rate_hz=250.0), "Aortic pressure")
    assert codes(read_ecg([ecg.dicom(pressure, ecg.dicom_group(ecg.signal_mv()))])) == []


@pytest.mark.parametrize("keyword", ["CodeMeaning", "ChannelLabel"])
def test_chest_electrodes_are_the_chest_leads_over_all_groups(ecg, keyword):
    limb, chest = parts_of(ecg, 6, 6)
    named_by_text(limb, "Limb lead I", "EKG II", "III (Einthoven)", "AVR", "aVl", "aVF", keyword=keyword)
    named_by_text(chest, "C1", "C2", "C3", "C4", "C5", "C6", keyword=keyword)
    assert read_ecg([ecg.dicom(limb, chest)]).lead_names == STANDARD_LEADS


def test_the_code_of_another_lead_is_not_overruled_by_a_text(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    source = group.ChannelDefinitionSequence[3].ChannelSourceSequence[0]
    source.CodeValue, source.CodeMeaning = "2:65", "Lead aVR"
    recording = read_ecg([ecg.dicom(group)])
    assert "aVR" not in recording.lead_names
    assert codes(recording) == ["channels_ignored"]


def test_a_code_too_long_for_its_element_is_read_where_the_standard_puts_it(ecg):
    group = ecg.dicom_group(ecg.signal_mv())
    for channel, lead in zip(group.ChannelDefinitionSequence, STANDARD_LEADS, strict=True):
        source = channel.ChannelSourceSequence[0]
        del source.CodeValue
        source.LongCodeValue = f"MDC_ECG_ELEC_POTL_{lead.upper()}"
    assert read_ecg([ecg.dicom(group)]).lead_names == STANDARD_LEADS


@pytest.mark.parametrize("meaning", ["Lead V3R", "V7"])
def test_right_and_posterior_leads_are_no_standard_ones(ecg, meaning):
    names = [*STANDARD_LEADS[:8], meaning, *STANDARD_LEADS[9:]]
    recording = read_ecg([ecg.dicom(named_by_text(ecg.dicom_group(ecg.signal_mv()), *names))])
    assert recording.lead_names[8] == meaning.removeprefix("Lead ")
    assert "V3" not in recording.lead_names


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("SamplingFrequency", None, "rate_missing"),
        ("SamplingFrequency", "-500", "rate_out_of_range"),
        ("NumberOfWaveformChannels", None, "unreadable_file"),
        ("NumberOfWaveformSamples", 0, "truncated"),
        ("WaveformData", None, "truncated"),
        ("ChannelDefinitionSequence", None, "unreadable_file"),
    ],
)
def test_a_group_that_lacks_what_it_must_say_is_refused(ecg, keyword, value, code):
    group = ecg.dicom_group(ecg.signal_mv())
    del group[keyword]
    if value is not None:
        setattr(group, keyword, value)
    assert refusal(ecg.dicom(group)).code == code
