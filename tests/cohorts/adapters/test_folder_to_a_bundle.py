"""A table with ECGs and labels of one's own, from a folder to a bundle that answers them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from evaluated import CPU, random_bundle

from cohorts import CohortError
from cohorts.adapters import Source, import_cohort
from cohorts.adapters.folder import FOLDER
from models.bundle import read_manifest
from training.refit import refit

SIZES = {"train": 24, "val": 12, "calibration": 12, "test": 8}


def test_a_column_of_the_table_is_fitted_and_a_split_without_patients_is_named(
    micro_recipe, tmp_path, request, monkeypatch
):
    whole = request.config.pluginmanager.get_plugin(str(Path(__file__).parents[2] / "conftest.py"))
    monkeypatch.setattr(whole, "PATIENTS_PER_SPLIT", SIZES)
    root = whole.write_cohort(tmp_path / "hospital")
    ecgs, studies, splits = (pd.read_csv(root / f"{name}.csv", dtype=str) for name in ("ecgs", "studies", "splits"))
    table = ecgs[["patient_id", "path"]].merge(studies[["patient_id", "lvef_percent"]]).merge(splits)
    table["self"] = (table.pop("lvef_percent").astype(float) < 50).map({True: "yes", False: "no"})
    table.rename(columns={"path": "ecg_path"}).to_csv(tmp_path / "t.csv", index=False)
    import_cohort(FOLDER, Source(root, files={"table": tmp_path / "t.csv"}), tmp_path / "cohort")
    encoders = random_bundle(tmp_path / "encoders", micro_recipe, with_probes=False)
    fitted = refit(encoders, tmp_path / "cohort", tmp_path / "fitted", CPU, labels=["self"])
    (own,) = read_manifest(fitted)[0].metrics["test"]["own"]
    assert (own["label"], own["yes_no"]["n"]) == ("self", 8)

    splits[splits["split"].isin(["train", "test"])].to_parquet(tmp_path / "cohort" / "splits.parquet")
    with pytest.raises(CohortError, match="The table splits names no val patients"):
        refit(encoders, tmp_path / "cohort", tmp_path / "other", CPU, labels=["self"])
