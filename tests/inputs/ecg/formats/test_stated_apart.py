"""What a file of arrays states about its ECG in a place that is not known: no request is obeyed against it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from scipy.io import savemat

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import ReadHints, UploadedFile

PLACES = ["hdr", "prop", "cfg", "recording", "acq", "settings", "ecg_info", "h", "info"]


def read(hints: ReadHints, **variables):
    stream = io.BytesIO()
    savemat(stream, variables)
    return read_ecg([UploadedFile("ecg", stream.getvalue())], hints)


def refused(hints: ReadHints, **variables) -> str:
    with pytest.raises(UnreadableFile) as caught:
        read(hints, **variables)
    return caught.value.code


@pytest.mark.parametrize("place", PLACES)
def test_a_request_against_what_the_file_states_anywhere_is_refused(ecg, place):
    signal, told = ecg.signal_mv(), {"fs": 500.0, "units": "mV"}
    assert refused(ReadHints(rate_hz=250.0, unit="mV"), ecg=signal, **{place: told}) == "rate_conflict"
    assert refused(ReadHints(rate_hz=500.0, unit="uV"), ecg=signal, **{place: told}) == "unit_conflict"
    assert read(ReadHints(rate_hz=500.0, unit="mV"), ecg=signal, **{place: told}).rate_hz == 500.0


def test_so_is_it_where_each_lead_is_an_array(ecg):
    leads = dict(zip(("I", "II", "V1", "V2"), ecg.signal_mv(), strict=False))
    assert refused(ReadHints(rate_hz=250.0, unit="mV"), **leads, acq={"fs": 500.0}) == "rate_conflict"
    assert refused(ReadHints(rate_hz=500.0, unit="uV"), **leads, acq={"units": "mV"}) == "unit_conflict"


def test_rate_and_unit_of_another_signal_deny_nothing(ecg):
    other = {"data": np.arange(900.0), "fs": 125.0, "units": "uV"}
    measured = {"units": "ms", "of": 3.0}
    hints = ReadHints(rate_hz=500.0, unit="mV")
    assert read(hints, ecg=ecg.signal_mv(), pleth=other, intervals=measured).rate_hz == 500.0


@pytest.mark.parametrize("place", PLACES)
def test_a_gain_anywhere_beside_counts_is_not_passed_over(ecg, place):
    counts = np.round(ecg.signal_mv() * 205.0).astype("i2")
    assert refused(ReadHints(), ecg=counts, fs=500.0, units="uV", **{place: {"gain": 205.0}}) == "scale_unclear"
    said = read(ReadHints(rate_hz=500.0, unit="uV"), ecg=counts, **{place: {"gain": 205.0}})
    assert [warning.code for warning in said.warnings] == ["gain_ignored", "lead_order_assumed"]


@pytest.mark.parametrize(
    "factor", [{"uV_per_count": 4.88}, {"bit_value": "4.88 uV"}, {"adc_step": 4.88}, {"scale": "4,88"}]
)
def test_a_factor_under_another_name_or_in_a_text_is_one(ecg, factor):
    counts = np.round(ecg.signal_mv() * 205.0).astype("i2")
    assert refused(ReadHints(), ecg=counts, fs=500.0, units="uV", **factor) == "scale_unclear"


@pytest.mark.parametrize("no_factor", [{"gain": 1.0}, {"gain": "10 mm/mV"}, {"scale": "linear"}])
def test_what_is_no_factor_leaves_whole_numbers_as_they_are(ecg, no_factor):
    counts = np.round(ecg.signal_mv() * 1000.0).astype("i2")
    recording = read(ReadHints(), ecg=counts, fs=500.0, units="uV", **no_factor)
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)
