"""Two recordings below each other in one table are told apart or refused, and so are samples that are missing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

LEADS = ",".join(STANDARD_LEADS)
SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(12, 60)), 3)
ROWS = [",".join(f"{value:.3f}" for value in row) for row in SIGNAL_LN.T]


def read(text: str, exam: str | None = None) -> EcgRecording:
    return read_ecg([UploadedFile("x", text.encode())], ReadHints(rate_hz=500.0, unit="mV", exam=exam))


def refusal(text: str, exam: str | None = None) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(text, exam)
    return caught.value


def beside(cells: Iterable[object], name: str) -> str:
    """The table with a first column of these cells, and its rows again where there are more of them."""
    rows = [f"{cell},{ROWS[place % len(ROWS)]}" for place, cell in enumerate(cells)]
    return "\n".join([f"{name},{LEADS}", *rows])


@pytest.mark.parametrize("name", ["record_id", "PatientID", "exam", "study id", "file"])
def test_a_column_of_ids_tells_recordings_apart_and_exam_chooses(name):
    text = beside(["a"] * 30 + ["b"] * 30, name)
    assert refusal(text).code == "exam_missing"
    np.testing.assert_allclose(read(text, "a").signal_mv, SIGNAL_LN[:, :30], atol=1e-6)
    np.testing.assert_allclose(read(text, "b").signal_mv, SIGNAL_LN[:, 30:], atol=1e-6)
    assert refusal(text, "c").code == "exam_not_found"


def test_each_recording_may_number_its_own_samples():
    ids = [f"{name},{sample}" for name in "ab" for sample in range(30)]
    np.testing.assert_allclose(read(beside(ids, "record_id,sample"), "b").signal_mv, SIGNAL_LN[:, 30:], atol=1e-6)


def test_ids_of_one_recording_or_of_each_row_choose_nothing():
    for ids in (["a"] * 60, range(60)):
        np.testing.assert_allclose(read(beside(ids, "id")).signal_mv, SIGNAL_LN, atol=1e-6)
    assert refusal(beside(["a"] * 60, "sample"), "a").code == "exam_not_found"


def test_recordings_whose_rows_are_mixed_or_too_many_are_refused():
    assert refusal(beside(["a", "b"] * 30, "record_id"), "a").code == "several_ecgs"
    many = refusal(beside((row // 20 for row in range(21_000)), "record_id"), "1")
    assert (many.code, "1000 times" in many.sentence) == ("several_ecgs", True)


@pytest.mark.parametrize("name", ["sample", "index", "", "time", "time_s", "time_ms"])
def test_sample_numbers_and_times_that_begin_again_begin_another_recording(name):
    found = refusal(beside([*range(60), *range(60)], name))
    assert (found.code, "sample 61" in found.sentence) == ("several_ecgs", True)


def test_a_clock_that_begins_again_begins_another_recording():
    clock = [f"10:00:{place / 10:06.3f}" for place in range(60)]
    assert refusal(beside(clock * 2, "time")).code == "several_ecgs"


@pytest.mark.parametrize("header", [LEADS, f"Interval=\t0.002 s\nChannelTitle=\t{LEADS}"])
def test_a_header_that_comes_again_begins_another_recording(header):
    text = "\n".join([header, *ROWS, ""])
    assert refusal((text if header == LEADS else text.replace(",", "\t")) * 2).code == "several_ecgs"


@pytest.mark.parametrize("numbers", [[*range(20), *range(25, 65)], [*range(20), *range(19, 59)]])
def test_a_sample_number_that_jumps_or_stands_twice_is_refused(numbers):
    assert refusal(beside(numbers, "sample")).code == "samples_missing"


def test_a_counter_of_a_device_may_begin_again_of_itself():
    wrapped = read(beside((number % 256 for number in range(230, 290)), "counter"))
    np.testing.assert_allclose(wrapped.signal_mv, SIGNAL_LN, atol=1e-6)


def test_a_column_that_rises_by_no_rule_numbers_nothing():
    places = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(read(beside(places, "index")).signal_mv, SIGNAL_LN, atol=1e-6)
