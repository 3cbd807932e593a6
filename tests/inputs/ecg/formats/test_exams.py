"""One of many ECGs in a file: the refusal says what chooses one in this file, and shows no id."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
import scipy.io

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(12, 80)), 3).astype(np.float32)


def read(data: bytes, exam: str | None) -> EcgRecording:
    return read_ecg([UploadedFile("x", data)], ReadHints(500.0, "mV", exam=exam))


def refusal(data: bytes, exam: str | None = None) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, exam)
    return caught.value


def hdf5(**datasets: object) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, values in datasets.items():
            file[name.replace("__", "/")] = values
    return stream.getvalue()


def structs() -> bytes:
    records = np.zeros(2, [("id", "O"), ("ecg", "O"), ("fs", "O")])
    for place in range(2):
        records[place] = (f"P{place}", SIGNAL_LN.astype(float) + place, 500.0)
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"records": records})
    return stream.getvalue()


def test_ids_choose_where_the_file_has_them_and_places_never_do():
    data = hdf5(tracings=np.stack([SIGNAL_LN.T + place for place in range(3)]), exam_id=np.array([590673, 12345, 0]))
    assert refusal(data).hint == "Choose one with the parameter exam: its id in exam_id."
    np.testing.assert_allclose(read(data, "0").signal_mv, SIGNAL_LN + 2, atol=1e-6)
    wrong = refusal(data, "1")
    assert (wrong.sentence, wrong.hint) == (
        "The HDF5 file holds 3 ECGs, and no ECG of the exam that was asked for.", "Give its id in exam_id."
    )  # fmt: skip
    assert not any(one in wrong.sentence + wrong.hint for one in ("590673", "12345"))


def test_places_choose_where_the_file_has_no_ids():
    data = hdf5(tracings=np.stack([SIGNAL_LN.T + place for place in range(3)]))
    assert refusal(data).hint == "Choose one with the parameter exam: its place in the file, from 0."
    np.testing.assert_allclose(read(data, "1").signal_mv, SIGNAL_LN + 1, atol=1e-6)


@pytest.mark.parametrize("within", ["", "record__"])
def test_a_group_for_each_patient_is_chosen_by_its_name(within):
    names = ("Adam", "Berta")
    data = hdf5(**{f"{name}__{within}ecg": SIGNAL_LN + place for place, name in enumerate(names)})
    found = refusal(data)
    assert (found.code, "the name of its group" in found.hint) == ("exam_missing", True)
    assert not any(name in found.sentence + found.hint for name in names)
    np.testing.assert_allclose(read(data, "Berta").signal_mv, SIGNAL_LN + 1, atol=1e-6)
    assert refusal(data, "1").code == "exam_not_found"


def test_groups_with_a_vector_for_each_lead_are_chosen_too():
    data = hdf5(**{f"{group}__{lead}": SIGNAL_LN[row] for group in "ab" for row, lead in enumerate(STANDARD_LEADS)})
    assert read(data, "b").lead_names == tuple(sorted(STANDARD_LEADS))


def test_an_array_of_structs_is_chosen_from_by_place():
    assert "its place in the file, from 0" in refusal(structs()).hint
    np.testing.assert_allclose(read(structs(), "1").signal_mv, SIGNAL_LN + 1, atol=1e-6)


def test_two_arrays_of_one_group_are_no_exams():
    assert refusal(hdf5(ecg=SIGNAL_LN, signal=SIGNAL_LN), "ecg").code == "several_ecgs"


def test_a_table_says_which_of_its_columns_holds_the_ids():
    rows = [f"{'ab'[row // 40]},{','.join(map(str, each))}" for row, each in enumerate(SIGNAL_LN.T)]
    data = "\n".join([f"Patient-ID,{','.join(STANDARD_LEADS)}", *rows]).encode()
    assert refusal(data).hint == "Choose one with the parameter exam: its id in the column patient_id."
    np.testing.assert_allclose(read(data, "b").signal_mv, SIGNAL_LN[:, 40:], atol=1e-6)
