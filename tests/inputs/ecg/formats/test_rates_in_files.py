"""A rate that a file holds in a column, an interval or a list of times is used, and one that contradicts it refused."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
import scipy.io

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(12, 80)), 3)
STEPS = np.arange(80)


def read(data: bytes | str, rate_hz: float | None = None, unit: str | None = "mV") -> EcgRecording:
    file = UploadedFile("x", data.encode() if isinstance(data, str) else data)
    return read_ecg([file], ReadHints(rate_hz, unit))


def refusal(data: bytes | str, rate_hz: float | None = None, unit: str | None = "mV") -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, rate_hz, unit)
    return caught.value


def codes(recording: EcgRecording) -> set[str]:
    return {warning.code for warning in recording.warnings} - {"lead_order_assumed"}


def table(name: str, numbers: object) -> str:
    rows = [",".join(map(str, [number, *row])) for number, row in zip(numbers, SIGNAL_LN.T, strict=True)]
    return "\n".join([",".join([name, *STANDARD_LEADS]), *rows])


def matlab(**variables: object) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"ecg": SIGNAL_LN, **variables})
    return stream.getvalue()


def hdf5(**datasets: object) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["ecg"] = SIGNAL_LN
        for name, values in datasets.items():
            file[name] = values
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "per_second"),
    [("seconds", 1), ("Zeit in s", 1), ("Time..s.", 1), ("Time, ms", 1000), ("time.ms", 1000), ("milliseconds", 1000),
     ("Sekunden", 1), ("ms", 1000)],
)  # fmt: skip
def test_columns_named_by_a_unit_of_time_give_the_rate(name, per_second):
    text = table(f'"{name}"', STEPS / 500 * per_second)
    assert (read(text).rate_hz, codes(read(text))) == (500.0, set())
    assert refusal(text, 250.0).code == "rate_conflict"


@pytest.mark.parametrize("name", ["", "X", "Unnamed: 0", "index", "sweep"])
def test_even_steps_in_a_column_of_any_name_are_held_against_the_rate_that_is_given(name):
    text = table(name, STEPS / 500)
    assert (read(text, 500.0).rate_hz, codes(read(text, 500.0))) == (500.0, {"channels_ignored"})
    wrong = refusal(text, 250.0)
    assert wrong.code == "rate_conflict"
    assert wrong.sentence.endswith("times in steps of 0.002 s, which is 500 Hz and not 250 Hz.")
    assert "time_s" in wrong.hint
    assert "time_s" in refusal(text).hint


def test_times_in_milliseconds_without_a_unit_contradict_a_wrong_rate():
    text = table("time", 2 * STEPS)
    assert refusal(text, 250.0).code == "rate_conflict"
    assert codes(read(text, 500.0)) == {"channels_ignored"}


def test_whole_numbers_that_no_name_calls_times_only_raise_a_doubt():
    assert codes(read(table("sample", 2 * STEPS), 250.0)) == {"channels_ignored", "rate_doubted"}


@pytest.mark.parametrize("name", ["", "time", "sample", "x"])
def test_whole_numbers_in_steps_of_one_number_samples_and_are_said_to_be_left_out(name):
    assert codes(read(table(name, STEPS), 250.0)) == {"channels_ignored"}


def test_a_column_of_times_that_states_its_unit_comes_before_one_that_does_not():
    text = table("time,time_ms", [f"{step},{2 * step}" for step in STEPS])
    assert read(text).rate_hz == 500.0


@pytest.mark.parametrize(
    "variables",
    [{"dt": 2.0, "dt_unit": "ms"}, {"isi": 2.0, "isi_units": "ms"}, {"fsample": 500.0}, {"sampling_interval_ms": 2.0},
     {"dt": "2 ms"}, {"time_s": STEPS / 500}, {"t_ms": 2 * STEPS}, {"frequency": 500.0},
     {"time": 2.0 * STEPS, "srate": 500.0}],
    ids=lambda each: ",".join(each),
)  # fmt: skip
@pytest.mark.parametrize("made", [matlab, hdf5])
def test_arrays_have_their_rate_from_intervals_and_times_beside_them(made, variables):
    data = made(**variables)
    assert (read(data).rate_hz, codes(read(data))) == (500.0, set())
    assert refusal(data, 250.0).code == "rate_conflict"


@pytest.mark.parametrize("variables", [{"dt": 0.002}, {"time": STEPS / 500}, {"t": 3 + STEPS / 500}])
def test_seconds_are_assumed_where_nothing_else_is_an_ecg_and_it_is_said(variables):
    data = matlab(**variables)
    assert (read(data).rate_hz, codes(read(data))) == (500.0, {"time_unit_assumed"})
    assert refusal(data, 250.0).code == "rate_conflict"


def test_fieldtrip_keeps_its_times_in_cells():
    trial, time = np.empty(1, object), np.empty(1, object)
    trial[0], time[0] = SIGNAL_LN, STEPS / 500
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"data": {"trial": trial, "time": time}})
    assert read(stream.getvalue()).rate_hz == 500.0


def test_an_attribute_may_state_the_unit_of_times():
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["ecg"] = SIGNAL_LN
        file["time"] = 2 * STEPS
        file["time"].attrs["units"] = "milliseconds since 2020-01-01"
    assert (read(stream.getvalue()).rate_hz, codes(read(stream.getvalue()))) == (500.0, set())


def test_a_rate_and_times_that_contradict_each_other_are_refused():
    assert refusal(matlab(fs=250.0, time_s=STEPS / 500)).code == "rates_differ"
    assert refusal(matlab(fs=250.0, dt=0.002)).code == "rates_differ"
    assert refusal(matlab(fs=250.0, time=2.0 * STEPS)).code == "rate_conflict"


def test_times_with_a_gap_are_refused_as_in_tables():
    assert refusal(matlab(time_s=np.where(STEPS < 40, STEPS, STEPS + 50) / 500), 500.0).code == "rate_missing"


@pytest.mark.parametrize("variables", [{"frequency": 70.0}, {"isi": 2.0}, {"dt": 1.0}, {"time": STEPS}, {"t": 7.0}])
def test_what_may_mean_anything_gives_no_rate(variables):
    assert refusal(matlab(**variables)).code == "rate_missing"
    assert read(matlab(**variables), 500.0).rate_hz == 500.0


def test_sentences_name_only_what_lacks():
    for data, kind in ((matlab(fs=500.0), "The MATLAB file"), (table("time_s", STEPS / 500), "The table")):
        error = refusal(data, unit=None)
        assert (error.sentence, error.hint) == (
            f"{kind} does not say its unit.", "Add unit to the request, for example unit=mV."
        )  # fmt: skip
    error = refusal(matlab())
    assert error.sentence == "The MATLAB file does not say its sampling rate."
    both = refusal(table("x", STEPS), unit=None)
    assert both.sentence == "The table does not say its sampling rate or unit."
    assert both.hint == "Add rate_hz and unit to the request, for example rate_hz=500 and unit=mV."


def test_a_row_of_times_among_those_of_an_array_is_held_against_the_rate():
    stream = io.BytesIO()
    np.save(stream, np.vstack([STEPS / 500, SIGNAL_LN]))
    names = ("x", *STANDARD_LEADS)
    for data in (stream.getvalue(), matlab(ecg=np.vstack([STEPS / 500, SIGNAL_LN]))):
        file = UploadedFile("x", data)
        assert read_ecg([file], ReadHints(500.0, "mV", names)).lead_names == STANDARD_LEADS
        with pytest.raises(UnreadableFile, match=r"steps of 0\.002 s, which is 500 Hz and not 250 Hz"):
            read_ecg([file], ReadHints(250.0, "mV", names))
