"""Training refuses a cohort that contradicts itself, in one sentence and before any work."""

import shutil

import pandas as pd
import pytest
from evaluated import CPU, random_bundle

from cohorts import CohortError
from training.refit import refit
from training.train import train


def set_cell(column, value):
    def change(table):
        table.loc[1, column] = value
        return table

    return change


def doubled(**changes):
    return lambda table: pd.concat([table, table.iloc[[1]].assign(**changes)], ignore_index=True)


@pytest.mark.parametrize(
    ("table", "change", "code", "words"),
    [
        ("splits", doubled(split="test"), "patient_in_two_splits", "more than one split (table splits, row 2, 41)"),
        ("echos", set_cell("study_id", "nobody's"), "study_unmatched", "not in the table studies (table echos, row 2)"),
        ("ecgs", set_cell("path", "files/none.hea"), "file_missing", "not there (table ecgs, row 2)"),
        ("ecgs", set_cell("path", "files/headless.hea"), "signal_file_missing", "not there (table ecgs, row 2)"),
        ("studies", set_cell("acquired_at", "2020-01-01T00:00:00Z"), "times_mixed", "zone; write all of them one way"),
        ("studies", doubled(), "study_twice", "study_id stands in more than one row (table studies, row 41)"),
        ("studies", set_cell("lvef_percent", "140"), "lvef_percent_out_of_range", "0 and 100 (table studies, row 2)"),
        ("studies", set_cell("lvedv_ml", "inf"), "number_not_finite", "not finite; leave the cell empty (table"),
        ("ecgs", lambda t: t.assign(acquired_at="2019-01-01T00:00:00"), "no_pairs", "within 7 days of each other"),
    ],
)  # fmt: skip
def test_training_refuses_a_contradiction_in_a_sentence_before_any_work(
    cohort_dir, micro_recipe, tmp_path, table, change, code, words
):
    broken = tmp_path / "cohort"
    shutil.copytree(cohort_dir, broken)
    (broken / "files/headless.hea").write_text("headless 1 400 1200\nnone.dat 16 1000/mV 16 0 0 0 0 I\n")
    rows = pd.read_csv(broken / f"{table}.csv", dtype=str, keep_default_na=False)
    change(rows).to_csv(broken / f"{table}.csv", index=False)
    with pytest.raises(CohortError) as refused:
        train(broken, micro_recipe, tmp_path / "out", CPU)
    assert refused.value.code == code
    assert words in refused.value.sentence
    assert "train1" not in refused.value.sentence  # no ids
    assert not list(tmp_path.glob("out*"))


def test_a_place_that_cannot_be_written_to_is_refused_before_any_work(cohort_dir, micro_recipe, tmp_path, monkeypatch):
    for module in ("train", "refit"):
        monkeypatch.setattr(f"training.{module}.prepare_ecgs", lambda *_: pytest.fail("ECGs were prepared"))
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=False)
    out = tmp_path / "file" / "out"
    out.parent.write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        train(cohort_dir, micro_recipe, out, CPU)
    with pytest.raises(NotADirectoryError):
        refit(bundle, cohort_dir, out, CPU)
