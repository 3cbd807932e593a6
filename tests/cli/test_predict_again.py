"""A run that ended early is gone on with, whatever changed meanwhile; what is wrong with one ECG is its row."""

from __future__ import annotations

import csv
import os
import sys
from functools import partial
from pathlib import Path

import many_ecgs
import numpy as np
import pandas as pd
import pytest
from evaluated import random_bundle

from app.answering.lane import retrieve
from inputs.ecg.read import read_ecg
from inputs.errors import ReaderUnavailable
from inputs.records import UploadedFile

sys.path.insert(0, str(Path(__file__).parents[1] / "drills"))
from served import BUNDLE, write_random_index


class Reader:
    """Reads here, and says which files; ends the run at the one called `last`, as a machine without processes does."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.last = ""

    def __call__(self, workers: int) -> Reader:
        return self

    def read_ecg(self, files: list[UploadedFile], hints):
        self.names.append(files[0].name)
        if files[0].name == self.last:
            raise ReaderUnavailable
        if files[0].data == b"defect":
            raise ZeroDivisionError
        return read_ecg(files, hints)

    def close(self) -> None:
        return


@pytest.fixture
def reader(monkeypatch):
    reader = Reader()
    monkeypatch.setattr("cli.predict.GuardedReader", reader)
    return reader


@pytest.fixture
def predict(command, reader):
    return partial(command, "predict", "--bundle", BUNDLE, "--device", "cpu", "--workers", "1")


@pytest.fixture
def folder(tmp_path):
    return many_ecgs.write(tmp_path / "ecgs", many_ecgs.many(7, 2))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_a_run_that_ended_early_answered_is_not_asked_again_and_the_table_is_the_same(
    predict, reader, folder, tmp_path
):
    assert predict(folder, "-o", tmp_path / "whole.csv")[0] == 0
    everything, reader.last = sorted(reader.names), "ecg0002.hea"
    reader.names.clear()
    code, _, sentence = predict(folder, "-o", tmp_path / "out.csv")
    assert (code, (tmp_path / "out.csv").exists()) == (1, False)
    assert "No process to read files with" in sentence
    kept = (tmp_path / "out.csv.part").read_bytes().count(b"\n") - 1
    assert kept
    reader.last = ""
    reader.names.clear()
    code, printed, _ = predict(folder, "-o", tmp_path / "out.csv")
    assert (code, len(reader.names)) == (0, len(everything) - kept)
    assert f"{kept} rows were there" in printed
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / "out.csv.part").exists()


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_of_a_finished_table_only_what_changed_is_answered_anew(predict, reader, folder, tmp_path, name):
    output = tmp_path / name

    def asked() -> tuple[int, bytes]:
        reader.names.clear()
        assert predict(folder, "-o", output)[0] == 0
        return len(reader.names), output.read_bytes()

    n, whole = asked()
    assert (n, asked()) == (9, (0, whole))
    many_ecgs.write(folder, {"ward3/ecg0008.hea": many_ecgs.good(8)})
    assert (asked()[0], reader.names) == (1, ["ecg0008.hea"])
    (folder / "ward3" / "ecg0008.hea").unlink()
    (folder / "ward3" / "ecg0008.dat").unlink()
    assert asked() == (0, whole)
    if output.suffix == ".csv":
        output.write_bytes(whole.replace(b"answered", b"withheld", 1))
        assert asked() == (1, whole), "a row that somebody changed is no answer of ours"


def test_another_question_another_index_and_changed_files_are_asked_anew(
    predict, reader, folder, tmp_path, monkeypatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cli.predict.write_table", full)

    def asked(*options: object) -> int:
        reader.names.clear()
        assert predict(folder, "-o", tmp_path / "out.csv", *options)[0] == 1
        return len(reader.names)

    first = asked()
    assert (first, asked()) == (9, 0)
    assert asked("--quality", "report") == 9
    write_random_index(tmp_path / "index")
    assert asked("--index", tmp_path / "index") == 9
    assert asked("--index", tmp_path / "index", "--k", 2) == 9
    write_random_index(tmp_path / "index", seed=1)
    assert asked("--index", tmp_path / "index", "--k", 2) == 9
    assert asked() == 0
    (folder / "ward0" / "ecg0000.dat").write_bytes(many_ecgs.good(8)["ecg0008.dat"])
    assert (asked(), reader.names[0]) == (1, "ecg0000.hea")


def test_rows_of_a_table_of_paths_carry_its_ids_and_each_trouble_is_a_row(predict, tmp_path):
    ecg = many_ecgs.good(0)["ecg0000.hea"], many_ecgs.good(0)["ecg0000.dat"]
    (tmp_path / "ecg0000.hea").write_bytes(ecg[0])
    (tmp_path / "ecg0000.dat").write_bytes(ecg[1])
    (tmp_path / "a.npy").write_bytes(many_ecgs.npy(many_ecgs.heart_mv(0).astype(np.float32)))
    (tmp_path / "defect").write_bytes(b"defect")
    os.symlink(tmp_path / "a.npy", tmp_path / "link.npy")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    paths = ["ecg0000.hea", "a.npy", "a.npy", "absent.hea", "folder", "link.npy", "pipe", "defect"]
    lines = ["path,id,rate_hz,unit", *(f"{path},e{n},{'500,mV' if n == 1 else ','}" for n, path in enumerate(paths))]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    code, printed, _ = predict(tmp_path / "list.csv", "-o", tmp_path / "out.parquet")
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert code == 0
    assert "8 ECGs: 2 answered, 0 withheld, 5 refused, 1 failed." in printed
    assert list(table["input"]) == paths
    assert list(table["id"]) == [f"e{n}" for n in range(8)]
    assert list(table["reason_codes"].fillna("")) == [
        "", "", "rate_missing", "file_missing", "not_a_regular_file", "not_a_regular_file", "not_a_regular_file",
        "unexpected_error",
    ]  # fmt: skip
    assert table["shd_probability"].notna().tolist() == [True, True] + 6 * [False]


def test_each_ecg_goes_through_the_models_alone_as_company_changes_last_digits(predict, folder, tmp_path, monkeypatch):
    sizes: list[int] = []

    def counted(queries):
        sizes.append(len(queries))
        return retrieve(queries)

    monkeypatch.setattr("cli.predict.retrieve", counted)
    assert predict(folder, "-o", tmp_path / "out.csv")[0] == 0
    assert sizes == 7 * [1]


def test_a_failing_model_ends_the_run_as_the_defect_that_it_is(predict, folder, tmp_path, monkeypatch):
    def broken(queries):
        raise RuntimeError("CUDA error")

    monkeypatch.setattr("cli.predict.retrieve", broken)
    with pytest.raises(RuntimeError, match="CUDA error"):
        predict(folder, "-o", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_report_gives_numbers_where_quality_forbids_them_with_the_reasons(predict, tmp_path):
    many_ecgs.write(tmp_path, {"noise.hea": many_ecgs.good(7)})
    assert predict(tmp_path / "ecg0007.hea", "-o", tmp_path / "w.csv")[0] == 0
    assert predict(tmp_path / "ecg0007.hea", "-o", tmp_path / "r.csv", "--quality", "report")[0] == 0
    (withheld,), (reported,) = rows_of(tmp_path / "w.csv"), rows_of(tmp_path / "r.csv")
    assert (withheld["status"], reported["status"]) == ("withheld", "answered")
    assert withheld["reason_codes"] == reported["reason_codes"] != ""
    assert (withheld["shd_probability"], bool(reported["shd_probability"])) == ("", True)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("out.xlsx", "A table is written as .csv or .parquet, not as out.xlsx."),
        ("no/such/out.csv", "The folder of the table is not there"),
        ("taken.csv", "taken.csv is a folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_sentence_before_anything_is_read(
    predict, reader, folder, tmp_path, output, words
):
    (tmp_path / "taken.csv").mkdir()
    code, _, sentence = predict(folder, "-o", tmp_path / output)
    assert code == 1
    assert words in sentence
    assert reader.names == []


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_what_is_there_and_no_table_of_answers_is_not_written_over(predict, folder, tmp_path, name):
    (tmp_path / name).write_text("path,notes\n")
    code, _, sentence = predict(folder, "-o", tmp_path / name)
    assert (code, f"{name} is there and no table of answers" in sentence) == (1, True)
    assert (tmp_path / name).read_text() == "path,notes\n"


def test_a_table_in_the_folder_that_it_is_about_is_no_input(predict, folder):
    for _ in range(2):
        assert predict(folder, "-o", folder / "out.csv")[0] == 0
        assert len(rows_of(folder / "out.csv")) == 9


def test_a_bundle_without_probes_is_one_sentence_and_with_an_index_finds_studies(
    command, small_bundle, folder, tmp_path
):
    (tmp_path / "empty").mkdir()  # refused before it is looked into
    bundle = small_bundle()
    for given in (folder, tmp_path / "empty"):
        code, _, sentence = command("predict", given, "--bundle", bundle, "-o", tmp_path / "out.csv")
        assert (code, "has no probes, so it predicts nothing" in sentence) == (1, True)
    assert not list(tmp_path.glob("out.csv*"))


def test_a_bundle_without_a_study_encoder_searches_no_index(command, micro_recipe, folder, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=True, echo=False)
    arguments = (folder, "--bundle", bundle, "--index", tmp_path / "index", "-o", tmp_path / "out.csv")
    code, _, sentence = command("predict", *arguments)
    assert (code, list(tmp_path.glob("out*"))) == (1, [])
    assert "it gives no embeddings to search with; leave --index out" in sentence


def test_another_bundles_index_is_one_sentence(command, small_bundle, folder, tmp_path):
    write_random_index(tmp_path / "index")
    arguments = ["predict", folder, "--bundle", small_bundle(), "--index", tmp_path / "index"]
    code, _, sentence = command(*arguments, "-o", tmp_path / "out.csv")
    assert (code, "which is not the bundle in use" in sentence) == (1, True)
