"""EchoNet-Dynamic as a cohort: a clip, a study and a patient are one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from echo_trees import PATIENTS, echonet
from round_trip import indexed, nearest, opened_and_read, tiny_bundle

from cohorts import CohortError
from cohorts.adapters import Source, import_cohort
from cohorts.adapters.echonet_dynamic import ECHONET_DYNAMIC


@pytest.fixture
def download(tmp_path) -> Path:
    return echonet(tmp_path / "EchoNet-Dynamic")


def refusal(folder: Path, out: Path) -> CohortError:
    with pytest.raises(CohortError) as caught:
        import_cohort(ECHONET_DYNAMIC, Source(folder), out)
    assert not out.exists()
    assert not out.with_name(f"{out.name}.importing").exists()
    return caught.value


def test_each_clip_is_a_study_with_its_volumes_and_its_official_split(download, tmp_path):
    check = import_cohort(ECHONET_DYNAMIC, Source(tmp_path), tmp_path / "cohort").check
    assert (check.n_patients, check.n_studies, check.n_views, check.n_ecgs) == (PATIENTS, PATIENTS, PATIENTS, 0)
    first = pd.read_parquet(tmp_path / "cohort" / "studies.parquet").iloc[1]
    assert (first["lvef_percent"], first["lvesv_ml"], first["lvedv_ml"]) == ("41.5", "49", "101")
    splits = pd.read_parquet(tmp_path / "cohort" / "splits.parquet")["split"]
    assert splits.value_counts().to_dict() == {"train": 10, "val": 5, "test": 5}


def test_the_cohort_is_read_indexed_and_asked(download, tmp_path, micro_recipe):
    import_cohort(ECHONET_DYNAMIC, Source(download), tmp_path / "cohort")
    cohort = opened_and_read(tmp_path / "cohort")
    bundle = tiny_bundle(tmp_path / "bundle", micro_recipe)
    store = indexed(cohort, bundle, tmp_path / "index")
    assert len(set(nearest(store, bundle))) == 3


def test_clips_that_are_not_there_are_counted_and_none_at_all_is_refused(download, tmp_path):
    (download / "Videos" / f"0X{3:016X}.avi").unlink()
    imported = import_cohort(ECHONET_DYNAMIC, Source(download), tmp_path / "cohort")
    assert [(skipped.count, skipped.rows) for skipped in imported.skipped] == [(1, (4,))]
    (download / "Videos").rename(download / "videos-elsewhere")
    assert "None of the 20 clips" in refusal(download, tmp_path / "other").sentence


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("Split", "Splits", "FileList.csv has no column Split."),
        ("0X0000000000000001,", "0X0000000000000000,", "The same FileName stands in more than one row"),
        (",41.5,", ",normal,", "EF is not a number: 'normal' (FileList.csv, row 2)."),
        ("VAL", "HOLDOUT", "Split must be one of train, val, test or empty (FileList.csv, row 3)."),
        (",41.5,", ",141.5,", "lvef_percent must lie between 0 and 100"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused_in_one_sentence(download, tmp_path, old, new, sentence):
    table = download / "FileList.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    assert sentence in refusal(download, tmp_path / "cohort").sentence
