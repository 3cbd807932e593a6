"""Mortara XML: rhythm channels and not the typical beat, by the file's own rate and units, whole or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from mortara_files import mortara_channel, mortara_channels, mortara_cycle, mortara_file

from inputs.ecg.formats.mortara import MORTARA, read_mortara
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints

TOLERANCE_MV = 0.00051


@pytest.fixture(scope="module")
def signal_mv(ecg) -> np.ndarray:
    """(12, N)."""
    return ecg.signal_mv()


def refusal(*parts: str, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_mortara(mortara_file(*parts), hints)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


@pytest.mark.parametrize("beat", ["TYPICAL_CYCLE_CHANNEL", "CHANNEL"])
@pytest.mark.parametrize("first", [True, False])
def test_the_rhythm_is_read_and_never_the_typical_beat_wherever_it_stands(signal_mv, beat, first):
    parts = [mortara_cycle(signal_mv, beat), mortara_channels(signal_mv)]
    recording = read_mortara(mortara_file(*(parts if first else parts[::-1])), NO_HINTS)
    np.testing.assert_allclose(recording.signal_mv, signal_mv, rtol=0, atol=TOLERANCE_MV)
    assert (recording.rate_hz, recording.lead_names, recording.warnings) == (500.0, STANDARD_LEADS, ())


def test_a_typical_beat_alone_is_refused(signal_mv):
    error = refusal(mortara_cycle(signal_mv))
    assert error.code == "no_rhythm"
    assert "typical beat" in error.sentence
    assert "Mortara" in refusal("").sentence


def test_eight_channels_are_handed_over_as_they_are(signal_mv):
    eight = [0, 1, *range(6, 12)]
    names = [STANDARD_LEADS[row] for row in eight]
    recording = read_mortara(mortara_file(mortara_channels(signal_mv[eight], names)), NO_HINTS)
    assert recording.lead_names == tuple(names)
    np.testing.assert_allclose(recording.signal_mv, signal_mv[eight], rtol=0, atol=TOLERANCE_MV)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_file_is_recognised_without_prologue_and_in_any_encoding(signal_mv, encoding):
    data = mortara_file(mortara_channels(signal_mv), prologue="").decode().encode(encoding)
    assert MORTARA.recognises(data)
    assert read_mortara(data, NO_HINTS).lead_names == STANDARD_LEADS


@pytest.mark.parametrize(
    "text", ["<ECG/>", "<ECG><Lead/></ECG>", "<ecg><CHANNEL/></ecg>", "<RestingECG><SOURCE/></RestingECG>"]
)
def test_another_root_and_a_bare_name_are_not_recognised(text):
    assert not MORTARA.recognises(text.encode())


@pytest.mark.parametrize(("stated", "per_mv"), [("200", 200.0), ("409.6", 409.6)])
def test_a_count_is_what_the_channel_says_it_is(signal_mv, stated, per_mv):
    found = read_mortara(mortara_file(mortara_channels(signal_mv, UNITS_PER_MV=stated)), NO_HINTS).signal_mv
    np.testing.assert_allclose(found, np.round(1000 * signal_mv) / per_mv, rtol=1e-6)


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"UNITS_PER_MV": None}, "unit_missing"),
        ({"UNITS_PER_MV": "0"}, "unit_missing"),
        ({"UNITS_PER_MV": "-400"}, "unit_missing"),
        ({"UNITS_PER_MV": "nan"}, "unit_missing"),
        ({"UNITS_PER_MV": "4_00"}, "unit_missing"),
        ({"SAMPLE_FREQ": None}, "rate_missing"),
        ({"SAMPLE_FREQ": "0"}, "rate_missing"),
        ({"SAMPLE_FREQ": "fast"}, "rate_missing"),
        ({"BITS": "8"}, "unsupported_format"),
        ({"FORMAT": "UNSIGNED"}, "unsupported_format"),
        ({"ENCODING": "HEX"}, "unsupported_format"),
        ({"DURATION": "5001"}, "truncated"),
        ({"DATA": "AAAA"}, "truncated"),
        ({"DATA": "AAAAA"}, "unreadable_file"),
        ({"DATA": None, "DURATION": None}, "signal_empty"),
    ],
)
def test_a_channel_says_what_it_is_or_is_refused(signal_mv, stated, code):
    assert refusal(mortara_channels(signal_mv, **stated)).code == code


@pytest.mark.parametrize("duration", [5000, 10_000, None])
def test_a_duration_is_in_samples_or_in_milliseconds(signal_mv, duration):
    recording = read_mortara(mortara_file(mortara_channels(signal_mv, DURATION=duration)), NO_HINTS)
    assert recording.signal_mv.shape == (12, 5000)


def test_leads_of_different_rates_are_refused_by_name(signal_mv):
    parts = (
        mortara_channels(signal_mv[:6], STANDARD_LEADS[:6]),
        mortara_channels(signal_mv[6:], STANDARD_LEADS[6:], SAMPLE_FREQ=1000),
    )
    assert refusal(*parts).code == "rates_differ"


def test_leads_of_different_lengths_are_refused_for_a_stretch_too(signal_mv):
    parts = mortara_channel("I", signal_mv[0]), mortara_channel("II", signal_mv[1][:4000])
    for hints in (NO_HINTS, ReadHints(start_s=1.0, length_s=2.0)):
        assert refusal(*parts, hints=hints).code == "length_mismatch"


def test_a_stretch_of_a_recording_is_those_seconds(signal_mv):
    recording = read_mortara(mortara_file(mortara_channels(signal_mv)), ReadHints(start_s=2.0, length_s=5.0))
    np.testing.assert_allclose(recording.signal_mv, signal_mv[:, 1000:3500], rtol=0, atol=TOLERANCE_MV)


def test_an_offset_is_one_for_all_leads_and_not_applied(signal_mv):
    recording = read_mortara(mortara_file(mortara_channels(signal_mv, OFFSET=40)), NO_HINTS)
    np.testing.assert_allclose(recording.signal_mv, signal_mv, rtol=0, atol=TOLERANCE_MV)
    assert codes(recording) == ["baseline_ignored"]
    parts = mortara_channel("I", signal_mv[0]), mortara_channel("II", signal_mv[1], OFFSET=40)
    assert refusal(*parts).code == "leads_not_simultaneous"


def test_the_most_negative_count_is_a_missing_sample(signal_mv):
    gaps_mv = signal_mv.copy()
    gaps_mv[3, 100:200] = np.nan
    found = read_mortara(mortara_file(mortara_channels(gaps_mv)), NO_HINTS).signal_mv
    np.testing.assert_array_equal(np.isnan(found), np.isnan(gaps_mv))


def test_channels_that_are_no_leads_are_left_out_and_counted(signal_mv):
    recording = read_mortara(mortara_file(mortara_channels(signal_mv[:3], ("I", "II", "Resp"))), NO_HINTS)
    assert (recording.lead_names, codes(recording)) == (("I", "II"), ["channels_ignored"])
    assert refusal(mortara_channels(signal_mv[:2], ("Resp", "SpO2"))).code == "leads_missing"
    assert refusal(*65 * [mortara_channel("I", signal_mv[0][:10])]).code == "too_many_channels"


def test_what_the_electrocardiograph_said_is_handed_over_without_the_people(signal_mv):
    lines = ("SINUS RHYTHM", "POSSIBLE LVH", "SEEN WITH FAMILY", "CONFIRMED BY DOE", "PATIENT MRN-4471")
    statements = "".join(f'<STATEMENT TEXT="{line}" REASON="" />' for line in lines)
    statements += '<STATEMENT TEXT="ST ELEVATION" REASON="IN V2" />'
    interpretation = f"<AUTOMATIC_INTERPRETATION>{statements}</AUTOMATIC_INTERPRETATION>"
    data = mortara_file(mortara_cycle(signal_mv), interpretation, mortara_channels(signal_mv))
    said = read_mortara(data, NO_HINTS).said
    assert (said.vendor, said.model, said.recorded_at) == ("Mortara Instrument, Inc.", "ELI 280", "2026-01-02T03:04:05")
    assert dict(said.measures) == {
        "heart_rate_bpm": 72.0,
        "pr_ms": 160.0,
        "qrs_ms": 96.0,
        "qt_ms": 400.0,
        "qtc_ms": 420.0,
    }
    assert said.filters == ("low pass 150 Hz",)
    assert said.statements == (*lines[:2], "ST ELEVATION IN V2")
