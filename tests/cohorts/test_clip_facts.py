"""What single clips really show: read by name, checked row by row, and seen by the echo pre-training alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sound_tables import Tables

from cohorts import CohortError, check_cohort, open_cohort, tables_sha256

ROOT = Path(__file__).resolve().parents[2]


def facts(**columns: list[object]) -> pd.DataFrame:
    """Of two of the three clips of the sound cohort, the last one first."""
    keys = {"patient_id": ["0x1F", "007"], "study_id": ["s3", "s1"], "view_id": ["v1", "v1"]}
    return pd.DataFrame(keys | columns)


def written(tables: Tables, root: Path, table: pd.DataFrame) -> Path:
    tables.write(root)
    table.to_csv(root / "truth_views.csv", index=False)
    return root


def refusal(root: Path) -> tuple[str, str]:
    """Code and sentence of the one problem."""
    (problem,) = check_cohort(root).problems
    assert problem.table == "truth_views"
    with pytest.raises(CohortError) as raised:
        open_cohort(root)
    assert raised.value.code == problem.code
    return problem.code, raised.value.sentence


def test_a_cohort_without_the_table_has_no_clip_facts(tables: Tables, tmp_path: Path):
    assert open_cohort(tables.write(tmp_path)).tables.clip_facts is None


def test_facts_stand_by_the_clips_whatever_the_order_and_are_empty_where_nothing_is_said(
    tables: Tables, tmp_path: Path
):
    table = facts(view=["PLAX", "A4C"], quality=[0.25, 1], motion_apical_septal=[-0.5, None], effusion=["", 2])
    cohort = open_cohort(written(tables, tmp_path, table)).tables
    found = cohort.clip_facts
    assert found is not None
    assert found.index.equals(cohort.echos.index)
    assert found["view"].tolist() == ["A4C", "", "PLAX"]
    numbers = found[["quality", "motion_apical_septal", "effusion"]].to_numpy()
    np.testing.assert_equal(numbers, [[1, np.nan, 2], [np.nan] * 3, [0.25, -0.5, np.nan]])


def test_a_table_without_names_of_views_has_them_all_empty(tables: Tables, tmp_path: Path):
    found = open_cohort(written(tables, tmp_path, facts(quality=[0.1, 0.2]))).tables.clip_facts
    assert found is not None
    assert found["view"].tolist() == ["", "", ""]


@pytest.mark.parametrize(
    ("table", "code", "sentence"),
    [
        (facts(depth_cm=["wide", 12]), "number_unreadable", "depth_cm is not a number (table truth_views, row 1)."),
        (
            facts(depth_cm=[12, "inf"]),
            "number_not_finite",
            "depth_cm is not finite; leave the cell empty (table truth_views, row 2).",
        ),
        (
            facts(quality=[1.5, 0]),
            "quality_out_of_range",
            "quality must lie between 0 and 1 (table truth_views, row 1).",
        ),
        (
            facts(view_id=["v1", "v9"]),
            "clip_unmatched",
            "The study_id and view_id are not in the table echos (table truth_views, row 2).",
        ),
        (
            facts(patient_id=["12", "007"]),
            "patient_differs",
            "patient_id is another than the clip's (table truth_views, row 1).",
        ),
        (
            pd.concat([facts(), facts()[:1]]),
            "view_twice",
            "The same study_id and view_id stands in more than one row (table truth_views, row 3).",
        ),
        (facts().drop(columns="view_id"), "column_missing", "The table truth_views lacks the column view_id."),
        (
            facts(lvef_percent=[30, 60], sex=[0, 1]),
            "fact_of_study",
            "The table truth_views has the column lvef_percent, sex, which no single clip shows.",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_rows(
    tables: Tables, tmp_path: Path, table: pd.DataFrame, code: str, sentence: str
):
    assert refusal(written(tables, tmp_path, table)) == (code, sentence)


def test_a_column_that_comes_twice_is_refused(tables: Tables, tmp_path: Path):
    root = tables.write(tmp_path)
    (root / "truth_views.csv").write_text("patient_id,study_id,view_id,depth_cm,depth_cm\n007,s1,v1,12,13\n")
    assert refusal(root)[0] == "column_twice"


def test_a_link_whose_table_is_gone_is_not_taken_for_no_table(tables: Tables, tmp_path: Path):
    root = tables.write(tmp_path)
    (root / "truth_views.csv").symlink_to("gone")
    assert refusal(root)[0] == "table_unreadable"


def test_an_encoder_trained_on_other_facts_is_another_one_and_an_index_stays_the_same(tables: Tables, tmp_path: Path):
    without = open_cohort(tables.write(tmp_path))
    shas = [(without.sha256, without.tables_sha256, without.echo_tables_sha256, without.columns_sha256)]
    for quality in (0.5, 0.75):
        cohort = open_cohort(written(tables, tmp_path, facts(quality=[quality, 1])))
        shas.append((cohort.sha256, cohort.tables_sha256, cohort.echo_tables_sha256, cohort.columns_sha256))
        assert tables_sha256(tmp_path) == cohort.tables_sha256
    of_all, *of_what_is_measured = zip(*shas, strict=True)
    assert len({*of_all}) == 3
    assert all(len({*same}) == 1 for same in of_what_is_measured)


def test_nothing_but_the_echo_pretraining_asks_for_clip_facts():
    """Neither evaluation nor probes, index, service or commands know what a clip really shows."""
    rooms = ("app", "cli", "embedding", "index", "inputs", "models", "outputs", "training", "benchmarks", "deploy")
    users = {
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if "clip_facts" in path.read_text(encoding="utf-8")
    }
    assert users == {"training/encoders/echo.py"}
