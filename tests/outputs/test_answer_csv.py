"""The long table of an answer: everything that the JSON says, under names that are told apart, safe to open."""

from __future__ import annotations

import io

import pandas as pd

from outputs.answer_csv import COLUMNS, answer_csv, answer_rows
from outputs.report import SearchAnswer

VIEW = {"view_id": "v1", "view": None, "pool_weight": 0.75}
NEIGHBOURS = [
    {
        "study_id": f"-0{rank}", "acquired_at": None, "age": 61.5, "sex": "=F()", "lvef_percent": None, "shd": True,
        "rank": rank, "similarity": 0.9 - rank / 10, "n_views": 1, "views": [VIEW, VIEW],
    }
    for rank in (1, 2)
]  # fmt: skip
ANSWER = SearchAnswer.model_validate({
    "request_id": "r", "bundle": "b", "device": "cpu", "timing_ms": {"read": 1.5}, "disclaimer": "Research.",
    "generation": "000001", "neighbours": NEIGHBOURS,
    "ecg": {
        "format": "wfdb", "rate_hz": 500.0, "duration_s": 10.0, "leads": ["I", "-aVR"], "resampled_to_hz": 400.0,
        "sha256": "ab" * 32, "lead_quality": [{"lead": "I", "codes": []}],
    },
    "warnings": [{"code": "noisy", "message": "Much,\nnoise.", "leads": ["I"], "severity": "warning"}],
    "predictions": {
        "lvef": {"classes": [{"label": "reduced", "range": "<= 40 %", "probability": 0.25}], "predicted": "reduced"},
    },
})  # fmt: skip


def table():
    return pd.read_csv(io.StringIO(answer_csv(ANSWER)), dtype=str, keep_default_na=False)


def value(section, item, name):
    rows = table()
    (found,) = rows[(rows.section == section) & (rows.item == item) & (rows.name == name)].value
    return found


def test_it_reads_back_with_a_row_for_every_value_of_the_json():
    rows = table()
    assert tuple(rows.columns) == COLUMNS
    assert list(rows.itertuples(index=False, name=None)) == list(answer_rows(ANSWER))
    assert not rows.duplicated(["section", "item", "name"]).any()
    assert value("answer", "", "generation") == "000001"
    assert float(value("ecg", "", "rate_hz")) == 500.0
    assert value("timing_ms", "", "read") == "1.5"
    assert value("predictions.lvef.classes", "1", "probability") == "0.25"
    assert value("predictions.lvef", "", "predicted") == "reduced"
    assert value("neighbours.views", "2.1", "pool_weight") == "0.75"


def test_studies_are_a_table_of_their_own_after_a_pivot():
    rows = table()
    studies = rows[rows.section == "neighbours"].pivot(index="item", columns="name", values="value")
    assert list(studies.index) == ["1", "2"]
    assert studies.similarity.astype(float).tolist() == [0.8, 0.7]
    assert (studies.shd == "true").all()
    assert (studies.lvef_percent == "").all()


def test_no_cell_is_a_formula_and_ids_that_are_numbers_stay_as_they_are():
    assert value("neighbours", "1", "sex") == "'=F()"
    assert value("neighbours", "1", "study_id") == "-01"
    assert value("ecg", "", "leads") == "I;-aVR"


def test_line_ends_within_a_value_are_spelt_out():
    assert value("warnings", "1", "message") == r"Much,\nnoise."
    assert answer_csv(ANSWER).count("\n") == len(table()) + 1
