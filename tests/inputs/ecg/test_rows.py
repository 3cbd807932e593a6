"""One ECG cut out of an array of many: the bytes of that row and no others, in this process and in a guarded child."""

from __future__ import annotations

import io
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.ecg.rows import cut_row
from inputs.ecg.source import EcgSource
from inputs.errors import UnreadableFile, UnusableRecording
from inputs.guarded.reader import GuardedReader
from inputs.limits import MAX_SAMPLES
from inputs.opened import BoundedReader
from inputs.records import ReadHints, UploadedFile

SAID = ReadHints(rate_hz=250.0, unit="mV")


def signals(ecgs: int = 3, samples: int = 500, leads: int = 12) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ecgs, samples, leads))


def saved(folder: Path, array: np.ndarray, name: str = "waveforms.npy") -> Path:
    np.save(folder / name, array)
    return folder / name


def hdf5(folder: Path, array: np.ndarray, name: str = "tracings", **options: object) -> Path:
    with h5py.File(folder / "exams_part0.hdf5", "w") as file:
        file.create_dataset(name, data=array, **options)
    return folder / "exams_part0.hdf5"


def values(cut: bytes) -> np.ndarray:
    return np.load(io.BytesIO(cut), allow_pickle=False)


def refusal(file: Path, row: int = 0, dataset: str = "") -> UnreadableFile:
    with pytest.raises(UnreadableFile) as refused:
        cut_row(file, row, dataset)
    assert str(file.parent) not in refused.value.in_full
    return refused.value


SHAPES = {
    "EchoNext": lambda x: x[:, np.newaxis],
    "samples, leads": lambda x: x,
    "leads, samples": lambda x: np.ascontiguousarray(x.transpose(0, 2, 1)),
}


@pytest.mark.parametrize("as_saved", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">i2"])
def test_a_row_of_each_shape_reads_as_the_ecg_that_it_is(tmp_path: Path, as_saved, dtype: str):
    array = (signals() * 100).astype(dtype)
    file = saved(tmp_path, as_saved(array))
    for row in range(3):
        recording = read_ecg([UploadedFile("row.npy", cut_row(file, row))], SAID)
        np.testing.assert_allclose(recording.signal_mv, array[row].T.astype(np.float32))


def test_a_guarded_child_cuts_the_same_bytes(tmp_path: Path):
    file = saved(tmp_path, signals())
    with GuardedReader() as reader:
        assert [reader.cut_row(file, row) for row in range(3)] == [cut_row(file, row) for row in range(3)]
        with pytest.raises(UnreadableFile, match="none in row 3"):
            reader.cut_row(file, 3)


def test_of_a_large_file_only_the_row_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An array of 17 GB as EchoNext's, of holes but for one row."""
    shape, row = (72_475, 1, 2500, 12), 70_000
    file = tmp_path / "waveforms.npy"
    one = signals(1, 2500)[0]
    with file.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": shape})
        begins = out.tell()
        out.seek(begins + row * one.nbytes)
        out.write(one.tobytes())
        out.truncate(begins + shape[0] * one.nbytes)
    assert file.stat().st_size > 17e9
    asked = []

    def counting(self: BoundedReader, size: int | None = -1) -> bytes:
        data = real(self, size)
        asked.append(len(data))
        return data

    real = BoundedReader.read
    monkeypatch.setattr(BoundedReader, "read", counting)
    np.testing.assert_array_equal(values(cut_row(file, row)), one)
    assert sum(asked) < 2 * one.nbytes


def test_a_truncated_array_is_refused(tmp_path: Path):
    file = saved(tmp_path, signals())
    os.truncate(file, file.stat().st_size - 8)
    assert refusal(file).code == "truncated"


@pytest.mark.parametrize("shape", [(3, 2, 500, 12), (500, 12), (500,), (2, 1, 1, 500, 12), ()])
def test_an_array_of_another_shape_is_refused_by_its_shape(tmp_path: Path, shape: tuple[int, ...]):
    error = refusal(saved(tmp_path, np.zeros(shape)))
    assert error.code == "unsupported_format"
    assert "shape" in error.sentence


def test_rows_beyond_the_end_are_refused_with_how_many_there_are(tmp_path: Path):
    for file, dataset in ((saved(tmp_path, signals()), ""), (hdf5(tmp_path, signals()), "tracings")):
        error = refusal(file, 3, dataset)
        assert (error.code, "holds 3 ECGs, and none in row 3, counted from 0." in error.sentence) == (
            "row_not_there",
            True,
        )


def test_object_arrays_are_never_unpickled(tmp_path: Path):
    array = np.empty((3, 500, 12), object)
    np.save(tmp_path / "objects.npy", array, allow_pickle=True)
    assert refusal(tmp_path / "objects.npy").code == "unsupported_format"
    assert refusal(saved(tmp_path, np.full((3, 500, 12), "x"))).code == "unsupported_format"


def test_an_array_in_fortran_order_is_refused_with_the_way_out(tmp_path: Path):
    error = refusal(saved(tmp_path, np.asfortranarray(signals())))
    assert "ascontiguousarray" in error.hint


def test_rows_longer_than_any_ecg_and_empty_ones_are_refused(tmp_path: Path):
    assert refusal(saved(tmp_path, np.zeros((1, MAX_SAMPLES + 1, 2), np.int8))).code == "too_long"
    assert refusal(saved(tmp_path, np.zeros((3, 0, 12)))).code == "signal_empty"
    assert refusal(saved(tmp_path, np.zeros((0, 500, 12)))).code == "row_not_there"


def test_a_header_that_lies_takes_no_memory(tmp_path: Path):
    file = tmp_path / "lies.npy"
    with file.open("wb") as out:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**11, 500, 12)}
        np.lib.format.write_array_header_1_0(out, header)
        out.write(bytes(800))
    assert refusal(file).code == "truncated"
    file.write_bytes(b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16)
    assert refusal(file).code == "unreadable_file"


def test_a_file_that_is_no_array_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("I,II\n1,2\n")
    assert refusal(tmp_path / "notes.txt").code == "unsupported_format"


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 500, 12)}, {"chunks": (2, 500, 12), "compression": "gzip"}])
def test_a_row_of_an_hdf5_dataset_is_cut_by_the_datasets_name(tmp_path: Path, options: dict[str, object]):
    array = signals().astype(np.float32)
    file = hdf5(tmp_path, array, **options)
    np.testing.assert_array_equal(values(cut_row(file, 1, "tracings")), array[1])
    with GuardedReader() as reader:
        assert reader.cut_row(file, 1, "tracings") == cut_row(file, 1, "tracings")


@pytest.mark.parametrize("dataset", ["", "tracing", "exam_id/x", "/", "soft", "external"])
def test_a_dataset_that_is_not_the_files_own_is_refused(tmp_path: Path, dataset: str):
    file = hdf5(tmp_path, signals())
    with h5py.File(file, "a") as opened:
        opened["exam_id"] = np.arange(3)
        opened["soft"] = h5py.SoftLink("/tracings")
        opened["external"] = h5py.ExternalLink("other.hdf5", "/tracings")
    assert refusal(file, 0, dataset).code == "dataset_missing"


def test_hdf5_of_other_shapes_and_cut_files_are_refused(tmp_path: Path):
    assert refusal(hdf5(tmp_path, np.arange(3)), 0, "tracings").code == "unsupported_format"
    file = hdf5(tmp_path, signals())
    os.truncate(file, file.stat().st_size // 2)
    assert refusal(file, 2, "tracings").code in ("unreadable_file", "truncated")


# ---- z-scores


def recording(leads: tuple[str, ...] | None = None):
    array = signals(1, 500, len(leads or range(12)))[0]
    hints = ReadHints(rate_hz=250.0, unit="mV", leads=leads)
    cut = io.BytesIO()
    np.save(cut, array)
    return read_ecg([UploadedFile("row.npy", cut.getvalue())], hints), array


def test_a_lead_scale_makes_millivolts_by_name(tmp_path: Path):
    read, array = recording(("V1", "I", "II"))
    source = EcgSource(tmp_path, lead_scale={"I": (0.1, 2.0), "II": (-1.0, 0.5), "V1": (0.0, 3.0)})
    expected = array * [3.0, 2.0, 0.5] + [0.0, 0.1, -1.0]
    np.testing.assert_allclose(source.as_meant(read).signal_mv, expected.T, atol=1e-6)
    with pytest.raises(UnusableRecording, match=r"lead_scale of cohort\.json has no V1\."):
        EcgSource(tmp_path, lead_scale={"I": (0.1, 2.0), "II": (-1.0, 0.5)}).as_meant(read)


def test_without_a_unit_nothing_is_scaled_and_no_lead_is_computed(tmp_path: Path):
    relative = EcgSource(tmp_path, hints=ReadHints(rate_hz=250.0), amplitude="relative")
    assert relative.reading_hints == SAID
    read, _ = recording()
    assert relative.as_meant(read) is read
    with pytest.raises(UnusableRecording, match="lacks III"):
        relative.as_meant(recording(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))[0])


def test_nothing_said_is_no_part_of_a_name_and_everything_said_is(tmp_path: Path):
    said = [
        EcgSource(tmp_path),
        EcgSource(tmp_path, hints=SAID),
        EcgSource(tmp_path, hints=ReadHints(rate_hz=500.0, unit="mV")),
        EcgSource(tmp_path, hints=SAID, amplitude="relative"),
        EcgSource(tmp_path, hints=SAID, lead_scale={"I": (0.0, 1.0)}),
        EcgSource(tmp_path, hints=SAID, lead_scale={"I": (0.0, 2.0)}),
    ]
    assert said[0].said() == b""
    assert len({each.said() for each in said}) == len(said)
