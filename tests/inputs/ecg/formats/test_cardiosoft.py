"""CardioSoft XML: the strip and never the averaged beat, the full disclosure only where there is no strip."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ecg_xml import cardiosoft_xml, full_disclosure

from inputs.ecg.formats.cardiosoft import looks_like_cardiosoft, read_cardiosoft
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints


def read(text: str, hints: ReadHints = NO_HINTS):
    return read_cardiosoft(text.encode("iso-8859-1"), hints)


def refusal(text: str, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(text, hints)
    assert "Family" not in str(caught.value)
    return caught.value


def strip_of(ecg, seconds: float = 2.0, **options) -> str:
    return cardiosoft_xml(ecg.signal_mv(seconds=seconds), **options)


def counts_of(ecg, seconds: float) -> np.ndarray:
    """(12, N) counts of 5 microvolt whose III follows from I and II to the count."""
    counts = np.round(200 * ecg.signal_mv(seconds=seconds)).astype(int)
    counts[2] = counts[1] - counts[0]
    return counts


@pytest.mark.parametrize("resolution", [1.0, 5.0])
def test_the_strip_is_read_in_the_resolution_that_it_states(ecg, resolution):
    recording = read(strip_of(ecg, 10.0, resolution=resolution))
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051 * resolution)
    assert (recording.rate_hz, recording.lead_names, recording.warnings) == (500.0, STANDARD_LEADS, ())


def test_a_full_disclosure_beside_the_strip_changes_nothing(ecg):
    counts = counts_of(ecg, 4.0)
    both = strip_of(ecg, more=full_disclosure(3 * counts))
    np.testing.assert_array_equal(read(both).signal_mv, read(strip_of(ecg)).signal_mv)


def test_a_full_disclosure_is_read_by_seconds_where_there_is_no_strip(ecg):
    counts = counts_of(ecg, 4.0)
    text = strip_of(ecg, strip="", more=full_disclosure(counts))
    recording = read(text)
    np.testing.assert_allclose(recording.signal_mv, counts * 0.005, rtol=0, atol=1e-6)
    assert [warning.code for warning in recording.warnings] == ["full_disclosure_read"]
    part = read(text, ReadHints(start_s=1.0, length_s=2.0))
    np.testing.assert_array_equal(part.signal_mv, recording.signal_mv[:, 500:1500])


def test_a_full_disclosure_that_is_arranged_otherwise_is_refused(ecg):
    text = strip_of(ecg, strip="", more=full_disclosure(counts_of(ecg, 4.0), by_second=False))
    assert "arranged in a way not read" in refusal(text).sentence
    cut = strip_of(ecg, strip="", more=full_disclosure(counts_of(ecg, 4.0)[:, :-500]).replace("18000", "24000"))
    assert refusal(cut).code == "truncated"


def test_averaged_beats_alone_are_no_rhythm(ecg):
    assert refusal(strip_of(ecg, strip="")).code == "no_rhythm"
    without = re.sub("<MedianSamples>.*</MedianSamples>", "", strip_of(ecg, strip=""), flags=re.DOTALL)
    assert refusal(without).code == "not_an_ecg"


def test_what_the_device_says_is_handed_over_and_nobody_s_name(ecg):
    said = read(strip_of(ecg)).said
    assert (said.vendor, said.model, said.recorded_at) == ("GE", "CardioSoft V6.73", "2018-07-09T14:19:39")
    assert said.measures == (("heart_rate_bpm", 50.0), ("qt_ms", 440.0))
    assert (said.statements, said.filters, said.paced) == (("Sinus rhythm",), ("low pass 100 Hz", "50 Hz"), False)
    assert "Family" not in repr(said)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("<ObservationType>RestECG", "<ObservationType>ExerciseECG", "unsupported_format"),
        ("SampleRate", "OtherRate", "rate_missing"),
        ('<SampleRate units="Hz">500', '<SampleRate units="Hz">0', "rate_out_of_range"),
        ('<SampleRate units="Hz">500', '<SampleRate units="ms">2', "rate_missing"),
        ('units="uVperLsb"', 'units="mmPerLsb"', "unit_missing"),
        ('units="uVperLsb"', "", "unit_missing"),
        ('uVperLsb">1<', 'uVperLsb">-1<', "unit_missing"),
        ("<ChannelSampleCountTotal>1000<", "<ChannelSampleCountTotal>1001<", "truncated"),
        ("<ChannelSampleCountTotal>1000<", "<ChannelSampleCountTotal>1000000<", "too_long"),
        ("<ChannelSampleCountTotal>1000<", "<ChannelSampleCountTotal>1e300<", "unreadable_file"),
        ("<ChannelSampleCountTotal>1000<", "<ChannelSampleCountTotal><", "unreadable_file"),
        ("<NumberOfLeads>12<", "<NumberOfLeads>13<", "truncated"),
        ('lead="V1"', 'lead="V2"', "leads_ambiguous"),
    ],
)
def test_what_is_missing_contradicted_or_unknown_is_refused(ecg, old, new, code):
    text = strip_of(ecg)
    assert old in text
    assert refusal(text.replace(old, new)).code == code


@pytest.mark.parametrize("sample", ["1_0", "x", "", "nan", "1 2", "--1"])
def test_a_sample_that_is_no_number_is_refused(ecg, sample):
    text = re.sub(r'(StripData>.*lead="V3">\t\t)-?\d+,', rf"\g<1>{sample},", strip_of(ecg), flags=re.DOTALL)
    assert f'lead="V3">\t\t{sample},' in text
    assert refusal(text).code in ("unreadable_file", "truncated")


def test_a_contradicted_rate_and_a_second_strip_are_refused(ecg):
    text = strip_of(ecg)
    assert refusal(text, ReadHints(rate_hz=250.0)).code == "rate_conflict"
    strip = re.search("<StripData>.*</StripData>", text, re.DOTALL)[0]
    assert refusal(text.replace(strip, strip + strip)).code == "several_ecgs"


def test_ge_sapphire_is_refused_by_name():
    data = b'<?xml version="1.0"?><sapphire xmlns="urn:ge:sapphire:sapphire_3" version="3"></sapphire>'
    assert looks_like_cardiosoft(data)
    assert "GE Sapphire" in refusal(data.decode()).sentence
