"""A table of answers: its columns do not depend on the answers, CSV and Parquet say the same, absent is empty."""

from __future__ import annotations

import pandas as pd
import pytest

from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from outputs.report import PredictAnswer, SearchAnswer
from outputs.table import ASKED, answered, columns, read_sealed, refused, sealed, write_table

LABELS = ("reduced", "mildly reduced", "preserved")
COMMON = {
    "request_id": "r", "bundle": "b", "device": "cpu", "timing_ms": {}, "disclaimer": "Research software.",
    "ecg": {
        "format": "wfdb", "rate_hz": 500.0, "duration_s": 10.0, "leads": ["I", "II"], "resampled_to_hz": 400.0,
        "sha256": "ab" * 32,
    },
}  # fmt: skip
DERIVED = {"code": "leads_derived", "message": "III was computed.", "leads": ["III"], "severity": "note"}
NO_ECG = {
    "code": "no_qrs",
    "message": "No beat was found.",
    "leads": [],
    "severity": "withheld",
    "hint": "Record again.",
}
CLASSES = [{"label": label, "range": "?", "probability": 0.25 * place} for place, label in enumerate(LABELS)]
PREDICTIONS = {
    "lvef": {"classes": CLASSES, "predicted": "preserved", "estimate": {"percent": 51.0, "low": 40.5}},
    "shd": {
        "probability": 0.123456, "threshold": 0.4, "positive": False, "prediction_set": ["negative", "positive"],
        "flags": [{"flag": SHD_FLAGS[0], "probability": 0.1, "finding": "not_raised"}],
    },
}  # fmt: skip
NEIGHBOUR = {
    "study_id": "s1", "acquired_at": None, "age": None, "sex": None, "lvef_percent": None, "shd": None, "rank": 1,
    "similarity": 0.5, "n_views": 0, "views": [],
}  # fmt: skip


def answer_row(**more: object):
    return answered(SearchAnswer.model_validate({**COMMON, "generation": "000001", "warnings": [], **more}))


def test_an_answer_fills_the_cells_of_what_it_says_and_no_other():
    row = answer_row(warnings=[DERIVED], predictions=PREDICTIONS, neighbours=[NEIGHBOUR])
    assert row["status"] == "answered"
    assert (row["warnings"], row["leads"], row["leads_derived"]) == ("leads_derived", "I;II", "III")
    assert [row[f"lvef_{name}_probability"] for name in ("reduced", "mildly_reduced", "preserved")] == [0, 0.25, 0.5]
    assert (row["lvef_percent"], row["lvef_percent_low"]) == (51.0, 40.5)
    assert (row["shd_positive"], row["shd_prediction_set"]) == (False, "negative;positive")
    assert row[f"{SHD_FLAGS[0]}_finding"] == "not_raised"
    assert (row["neighbour_1_study_id"], row["neighbour_1_similarity"]) == ("s1", 0.5)
    absent = {"lvef_percent_high", "lvef_positive", "unusual_score", "heart_rate_bpm", "reason_codes", "leads_lost"}
    assert not absent & row.keys()
    assert row.keys() < columns(LABELS, 1).keys()


def test_labels_of_whoever_fitted_the_bundle_have_columns_of_their_own():
    own = [
        {"label": "scar", "probability": 0.2, "positive": False, "base_rate": 0.1, "prediction_set": ["no", "yes"]},
        {"label": "gls", "value": -18.5, "low": -21.0, "high": -15.0},
    ]
    row = answer_row(warnings=[], predictions={"own": own, "flags": PREDICTIONS["shd"]["flags"]})
    assert {name: cell for name, cell in row.items() if name.startswith("own_")} == {
        "own_scar_probability": 0.2, "own_scar_positive": False, "own_scar_prediction_set": "no;yes",
        "own_gls": -18.5, "own_gls_low": -21.0, "own_gls_high": -15.0,
    }  # fmt: skip
    assert row[f"{SHD_FLAGS[0]}_probability"] == 0.1, "of a bundle that tells flags and no SHD"
    assert row.keys() < columns(LABELS, 0, ("scar",), ("gls",)).keys()


@pytest.mark.parametrize(
    ("labels", "yes_no", "numbers"),
    [
        (LABELS, ("af",), ("af_probability",)),
        (LABELS, (), ("k", "k_low")),
        (("LVEF < 50", "LVEF >= 50"), (), ()),
    ],
)
def test_two_answers_in_one_column_are_refused(labels, yes_no, numbers):
    with pytest.raises(Refusal, match="would stand in one column"):
        columns(labels, 0, yes_no, numbers)


def test_a_number_and_a_yes_or_no_stand_beside_each_other():
    assert {"own_k", "own_k_low", "own_k_low_probability"} <= columns(LABELS, 0, ("k_low",), ("k",)).keys()


def test_a_withheld_answer_says_why_what_to_do_and_what_was_measured():
    measured = {"heart_rate_bpm": 61.0, "regular": True, "not_reliable": ["pr_ms"]}
    row = answer_row(warnings=[DERIVED, NO_ECG, NO_ECG], withheld=["no_qrs"], measured=measured)
    assert (row["status"], row["reason_codes"]) == ("withheld", "no_qrs")
    assert row["reason"] == "No beat was found. Record again."
    assert row["warnings"] == "leads_derived;no_qrs"
    assert (row["heart_rate_bpm"], row["regular"], row["not_reliable"]) == (61.0, True, "pr_ms")
    given = answer_row(warnings=[NO_ECG], withheld=["no_qrs"], predictions=PREDICTIONS)
    assert (given["status"], given["reason_codes"]) == ("answered", "no_qrs"), "as quality=report gives it"


def test_predictions_alone_have_no_generation():
    row = answered(PredictAnswer.model_validate({**COMMON, "warnings": [], "predictions": PREDICTIONS}))
    assert row["status"] == "answered"
    assert "generation" not in row


def test_columns_are_the_same_whatever_is_answered_and_neighbours_stand_last():
    names = list(columns(LABELS, 2))
    assert names[:6] == ["input", "id", "status", "reason_codes", "reason", "warnings"]
    assert names[-4:] == [f"neighbour_{rank}_{what}" for rank in (1, 2) for what in ("study_id", "similarity")]
    assert list(columns(LABELS, 0)) == names[:-4]
    assert {f"{flag}_{what}" for flag in SHD_FLAGS for what in ("probability", "finding")} < set(names)


@pytest.mark.parametrize("rows", [0, 3])
def test_csv_and_parquet_hold_the_same_cells_in_the_same_types(tmp_path, rows):
    kinds = columns(LABELS, 1)
    made = [
        {"input": "a,b.hea", "id": "007"} | answer_row(predictions=PREDICTIONS, neighbours=[NEIGHBOUR]),
        {"input": "b"} | refused("refused", "file_empty", 'The file is "empty".\x1b', sha256="cd" * 32),
        {"input": "c"} | answer_row(withheld=["x"], warnings=[NO_ECG]),
    ][:rows]
    for name in ("t.csv", "again.csv", "t.parquet", "again.parquet"):
        write_table(tmp_path / name, kinds, made)
    for ending in ("csv", "parquet"):
        assert (tmp_path / f"t.{ending}").read_bytes() == (tmp_path / f"again.{ending}").read_bytes()
    parquet = pd.read_parquet(tmp_path / "t.parquet")
    text = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert list(parquet.columns) == list(text.columns) == list(kinds)
    for name, kind in kinds.items():
        for typed, written in zip(parquet[name], text[name], strict=True):
            if pd.isna(typed):
                assert written == ""
            elif kind == "number":
                assert float(written) == typed
            else:
                assert written == (str(bool(typed)).lower() if kind == "truth" else typed)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_sealed_rows_are_read_back_as_they_were_and_none_of_a_table_that_somebody_changed(tmp_path, ending):
    kinds, table = columns(LABELS, 1), tmp_path / f"t.{ending}"
    rows = {
        "a" * 32: answer_row(predictions=PREDICTIONS, neighbours=[NEIGHBOUR], measured={"not_reliable": []}),
        "b" * 32: refused("refused", "file_empty", 'The file is "empty",\x1b; all of it.', sha256="cd" * 32),
    }
    made = [{"input": key, "id": "007"} | sealed(key, row) for key, row in rows.items()]
    write_table(table, kinds, [*made, {"input": "c"} | refused("refused", "file_missing", "There is no file.")])
    assert dict(read_sealed(table, kinds)) == rows
    write_table(table, kinds, [{**row, "shd_probability": 0.9} for row in made])
    assert list(read_sealed(table, kinds)) == []
    write_table(table, kinds, [{**row, ASKED: ""} for row in made])
    assert list(read_sealed(table, kinds)) == []
    table.write_bytes(table.read_bytes()[:40])
    assert list(read_sealed(table, kinds)) == []


def test_nothing_is_left_of_a_table_that_could_not_be_finished(tmp_path):
    def rows():
        yield {"input": "a"}
        raise OSError(28, "No space left on device")

    for name in ("t.csv", "t.parquet"):
        with pytest.raises(OSError, match="No space"):
            write_table(tmp_path / name, columns(LABELS, 0), rows())
    assert list(tmp_path.iterdir()) == []
