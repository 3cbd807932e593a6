"""ISHNE Holter files: leads by code, steps in nanovolt, a stretch of a long recording, and what is no recording."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from signal_files import ishne_of

from inputs.ecg.formats.ishne import ISHNE
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints, UploadedFile


def read(data: bytes, hints: ReadHints = NO_HINTS):
    return ISHNE.read([UploadedFile("a.ecg", data)], hints)


def refusal(data: bytes, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, hints)
    return caught.value


def test_a_recording_is_read_in_the_steps_and_at_the_rate_that_it_states(ecg):
    recording = read(ishne_of(ecg.signal_mv(rate_hz=1000), rate_hz=1000, step_nv=2500, text=b"a note"))
    assert (recording.rate_hz, recording.lead_names, recording.warnings) == (1000.0, STANDARD_LEADS, ())
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(rate_hz=1000), rtol=0, atol=0.00126)


def test_a_lead_fault_is_missing_samples(ecg):
    signal = ecg.signal_mv()
    signal[2, 50:60] = np.nan
    assert np.argwhere(np.isnan(read(ishne_of(signal)).signal_mv)).tolist() == [[2, at] for at in range(50, 60)]


def test_leads_are_those_of_the_codes_and_others_are_left_out(ecg):
    recording = read(ishne_of(ecg.signal_mv()[:4], ("V6", "unknown", "VX", "ES")))
    assert recording.lead_names == ("V6", "VX")
    assert [warning.code for warning in recording.warnings] == ["channels_ignored"]


def test_a_file_that_names_no_lead_is_refused_with_a_way_out(ecg):
    error = refusal(ishne_of(ecg.signal_mv()[:2], ("unknown", "unknown")))
    assert (error.code, "ISHNE" in error.sentence, "CSV" in error.hint) == ("leads_missing", True, True)


@pytest.mark.parametrize("stated", [5000, 60_000, 0, -9])
def test_a_header_may_count_samples_of_a_lead_or_of_all_or_not_at_all(ecg, stated):
    assert read(ishne_of(ecg.signal_mv(), stated=stated)).signal_mv.shape == (12, 5000)


@pytest.mark.parametrize("stated", [5001, 4999, 59_988, 2**31 - 1])
def test_a_length_that_the_header_denies_is_refused(ecg, stated):
    assert refusal(ishne_of(ecg.signal_mv(), stated=stated)).code == "truncated"


def test_twenty_four_hours_are_refused_with_a_way_out_and_a_stretch_of_them_is_read():
    hour = np.arange(24 * 3600 * 10)
    day = ishne_of(np.stack([hour % 1000, hour // 1000]) / 1000.0, ("I", "II"), rate_hz=10)
    error = refusal(day)
    assert (error.code, "start_s" in error.hint) == ("too_long", True)
    tracemalloc.start()
    recording = read(day, ReadHints(start_s=86_000, length_s=10))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(recording.signal_mv, [np.arange(100) / 1000.0, [0.86] * 100], rtol=0, atol=1e-6)
    assert peak < 200_000, "only the stretch is decoded"
    assert refusal(day, ReadHints(start_s=86_399, length_s=10)).code == "stretch_out_of_range"


def test_a_wrong_checksum_is_a_warning_and_a_missing_one_or_the_other_byte_order_is_none(ecg):
    right = ishne_of(ecg.signal_mv())
    assert [w.code for w in read(ishne_of(ecg.signal_mv(), checksum=b"\1\2")).warnings] == ["checksum_wrong"]
    for checksum in (b"\0\0", right[8:10][::-1]):
        assert read(ishne_of(ecg.signal_mv(), checksum=checksum)).warnings == ()


def test_annotations_alone_are_refused_by_name(ecg):
    data = b"ANN  1.0" + ishne_of(ecg.signal_mv())[8:]
    assert ISHNE.recognises(data)
    assert not ISHNE.is_sure_of(data)
    error = refusal(data)
    assert (error.code, "annotations" in error.sentence) == ("not_an_ecg", True)


@pytest.mark.parametrize(("options", "code"), [({"step_nv": -9}, "unit_missing"), ({"rate_hz": 0}, "rate_missing")])
def test_a_file_without_unit_or_rate_is_refused(ecg, options, code):
    assert refusal(ishne_of(ecg.signal_mv(), **options)).code == code


def test_what_the_recorder_said_is_handed_over_without_names(ecg):
    said = read(ishne_of(ecg.signal_mv(), pacemaker=2, text=b"Family")).said
    assert (said.model, said.recorded_at, said.paced) == ("Recorder 7", "2020-01-31T10:20:30", True)
    assert "Family" not in repr(said)
    assert "MRN" not in repr(said)
    assert read(ishne_of(ecg.signal_mv())).said.paced is None
