"""What the service sends is the report, member by member: a client that reads it back has it whole."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pytest

from app.answering import answered
from models.bundle import EcgVerdict
from models.ood import OodOutput
from outputs.report import EmbedAnswer, PredictAnswer, SearchAnswer
from outputs.study import StudyDetail

SETS = {"coverage": 0.9, "n_calibration": 157, "quantile": 0.85}


@pytest.fixture(params=["all", "least"])
def running(start_app, make_probes, request):
    """A bundle that says all there is to say, and one that says the least."""
    with start_app() as running:
        if request.param == "all":
            flags = {"lvef_lte_45_flag": 0.3, "lvwt_gte_13_flag": 0.5}
            running.bundle.probes = make_probes(lvef={"sets": SETS}, shd={"sets": SETS}, flags=flags)
            running.bundle.says_more = {
                "flags_BQ": lambda B: np.tile(np.array([0.35, 0.2], np.float32), (B, 1)),
                "ood": lambda B: OodOutput(np.full(B, 1.31), np.full(B, 99.5)),
            }
        yield running


@pytest.mark.parametrize(
    ("place", "shape"), [("/v1/search", SearchAnswer), ("/v1/predict", PredictAnswer), ("/v1/embed", EmbedAnswer)]
)
def test_an_answer_read_back_and_written_again_is_the_same_to_the_byte(running, place, shape):
    sent = running.client.post(place, files={"files": b"1"})
    assert sent.status_code == 200
    assert shape.model_validate_json(sent.content).model_dump_json(exclude_unset=True) == sent.text


def test_a_study_read_back_and_written_again_is_the_same_to_the_byte(running):
    sent = running.client.get("/v1/studies/g0-s1")
    assert StudyDetail.model_validate_json(sent.content).model_dump_json(exclude_unset=True) == sent.text
    assert "low_ef" in sent.json()["flags"], "keyed by code"


def test_nobody_reads_the_code_of_a_flag_on_the_page(running):
    page = running.client.post("/", follow_redirects=True, files={"files": b"1"}).text
    assert "_flag" not in page
    said = running.search(1).json()["predictions"]["shd"]
    for flag in said.get("flags", []):
        assert flag["words"] in page


def test_everything_that_a_model_says_of_an_ecg_reaches_the_answer():
    source = inspect.getsource(answered)
    assert [field.name for field in fields(EcgVerdict) if f"verdict.{field.name}" not in source] == []
