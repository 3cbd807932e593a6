"""Words beside DICOM waveforms: in labels of groups, which may be of beats, and in modifiers of leads."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS


@pytest.mark.parametrize(
    "label",
    ["Heartbeat 10s", "Beat detection", "AVG off", "Meander", "SAECG", "Mean removed", "Median filtered"],
)
def test_ten_seconds_are_no_beat_whatever_their_label_says(ecg, label):
    group = ecg.dicom_group(ecg.signal_mv())
    group.MultiplexGroupLabel = label
    recording = read_ecg([ecg.dicom(group)])
    assert (recording.signal_mv.shape, recording.warnings) == ((12, 5000), ())


def test_meander_is_no_mean_in_a_short_group_either(ecg):
    group = ecg.dicom_group(ecg.signal_mv(seconds=2.8))
    group.MultiplexGroupLabel = "Meander"
    assert read_ecg([ecg.dicom(group)]).signal_mv.shape == (12, 1400)


@pytest.mark.parametrize(("seconds", "what"), [(10.0, "marked as derived"), (1.2, "averaged beats")])
def test_a_derived_recording_is_not_called_a_beat(ecg, seconds, what):
    group = ecg.dicom_group(ecg.signal_mv(seconds=seconds))
    group.WaveformOriginality = "DERIVED"
    with pytest.raises(UnreadableFile) as caught:
        read_ecg([ecg.dicom(group)])
    assert (caught.value.code, what in caught.value.sentence) == ("no_rhythm", True)


def with_modifier(ecg, meaning: str):
    group = ecg.dicom_group(ecg.signal_mv())
    modifier = Dataset()
    modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = "9", "99LOCAL", meaning
    group.ChannelDefinitionSequence[9].ChannelSourceModifiersSequence = [modifier]
    return read_ecg([ecg.dicom(group)])


@pytest.mark.parametrize(
    "meaning",
    [
        "Right",
        "Right sided",
        "Posterior",
        "mirrored",
        "upside down",
        "Minus",
        "inverse",
        "Inverted",
        "Left posterior",
        "",
    ],
)
def test_a_modifier_makes_another_lead(ecg, meaning):
    recording = with_modifier(ecg, meaning)
    assert ("V4" in recording.lead_names, [each.code for each in recording.warnings]) == (False, ["channels_ignored"])


@pytest.mark.parametrize("meaning", ["Not inverted", "non-inverted", "Filtered", "Unipolar", "Chest lead", "Left"])
def test_a_modifier_that_changes_nothing_leaves_the_lead(ecg, meaning):
    recording = with_modifier(ecg, meaning)
    assert (recording.lead_names, recording.warnings) == (STANDARD_LEADS, ())
