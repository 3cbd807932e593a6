"""Columns beside the leads of a text table: which of them tell recordings apart, and which go on through one."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

LEADS = ",".join(STANDARD_LEADS)
SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(12, 400)), 3)
ROWS = [",".join(f"{value:.3f}" for value in row) for row in SIGNAL_LN.T]
HALF = range(400)


def read(name: str, cells: list[str], exam: str | None = None) -> EcgRecording:
    text = "\n".join([f"{name},{LEADS}", *map(",".join, zip(cells, ROWS, strict=True))])
    return read_ecg([UploadedFile("x", text.encode())], ReadHints(rate_hz=100.0, unit="mV", exam=exam))


def refusal(name: str, cells: list[str], exam: str | None = None) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(name, cells, exam)
    return caught.value


@pytest.mark.parametrize("row_id", ["{}", "u{}x"])
def test_a_column_that_numbers_rows_hides_no_patients(row_id):
    cells = [f"{row_id.format(row)},P{row // 200}" for row in range(400)]
    assert refusal("id,patient_id", cells).code == "exam_missing"
    np.testing.assert_allclose(read("id,patient_id", cells, "P1").signal_mv, SIGNAL_LN[:, 200:], atol=1e-6)


def test_patients_with_visits_are_chosen_by_both_with_a_blank_between():
    cells = [f"P{row // 200},{row // 100 % 2}.0" for row in range(400)]
    assert "blank between" in refusal("patient,visit", cells).hint
    assert refusal("patient,visit", cells, "P1").code == "exam_not_found"
    np.testing.assert_allclose(read("patient,visit", cells, "P1 0").signal_mv, SIGNAL_LN[:, 200:300], atol=1e-6)


@pytest.mark.parametrize("name", ["uuid", "eid", "ID_ECG", "ptid", "signal_id", "name"])
def test_ids_are_known_by_their_words(name):
    assert refusal(name, [str(row // 200) for row in range(400)]).code == "exam_missing"


@pytest.mark.parametrize("name", ["sample_id", "index", "label", "segment", "case"])
def test_what_stays_the_same_for_seconds_may_tell_recordings_apart_by_any_name(name):
    cells = [f"{7 + row // 200}" for row in range(400)]
    assert refusal(name, cells).code == "several_ecgs"
    np.testing.assert_allclose(read(name, cells, "8").signal_mv, SIGNAL_LN[:, 200:], atol=1e-6)


@pytest.mark.parametrize("beside", ["sample,{}", "time_ms,{}0"])
def test_an_annotated_recording_whose_times_go_on_is_one(beside):
    name, number = beside.split(",")
    cells = [f"{number.format(row)},{row // 200}" for row in range(400)]
    np.testing.assert_allclose(read(f"{name},label", cells).signal_mv, SIGNAL_LN, atol=1e-6)


@pytest.mark.parametrize("values", [[row // 50 for row in HALF], [20.5 + row // 200 for row in HALF]])
def test_beats_and_what_was_measured_are_no_recordings(values):
    np.testing.assert_allclose(read("other", list(map(str, values))).signal_mv, SIGNAL_LN, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [256, 512, 1024])
@pytest.mark.parametrize("name", ["ts", ""])
def test_even_times_that_were_rounded_have_no_gaps(name, rate_hz):
    cells = [f"{1000 * row / rate_hz:.0f}" for row in range(400)]
    np.testing.assert_allclose(read(name, cells).signal_mv, SIGNAL_LN, atol=1e-6)


def test_seconds_since_1970_are_even():
    cells = [f"{1.7e9 + row / 100:.6f}" for row in range(400)]
    np.testing.assert_allclose(read("ts", cells).signal_mv, SIGNAL_LN, atol=1e-6)


def test_samples_may_be_numbered_anew_in_each_second_but_not_left_out():
    cells = [f"{row // 100},{row % 100}" for row in range(400)]
    np.testing.assert_allclose(read("second,sample", cells).signal_mv, SIGNAL_LN, atol=1e-6)
    cells[150:200] = [f"1,{row % 100 + 1}" for row in range(150, 200)]
    assert refusal("second,sample", cells).code == "samples_missing"


def test_a_clock_of_whole_seconds_that_leaves_one_out_is_refused():
    cells = [f"10:00:{row // 100 + (row >= 200):02d}" for row in range(400)]
    assert refusal("time", cells).code == "samples_missing"


def test_a_clock_of_twelve_hours_goes_on_after_noon():
    times = [f"12:59:{58 + row / 100:06.3f} PM" for row in range(200)]
    times += [f"01:00:{row / 100:06.3f} PM" for row in range(200)]
    np.testing.assert_allclose(read("time", times).signal_mv, SIGNAL_LN, atol=1e-6)
