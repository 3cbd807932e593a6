"""Every refusal keeps its code, sentence and hint on its way out, and gets a status."""

from __future__ import annotations

import pytest

from app.answering.batcher import BatcherClosed, QueueFull
from app.answering.snapshots import NotSearchable
from app.http.problems import problem_of
from app.refusals import (
    JobEnded,
    JobNotStarted,
    JobRunning,
    JobUnknown,
    NoProbes,
    NoSpace,
    NotReady,
    TookTooLong,
)
from ground.errors import Refusal
from index.base import IndexMissing
from index.catalogue.filters import FilterRefused
from inputs.errors import ReaderUnavailable, UnreadableFile, UnusableRecording

REFUSALS = [
    (UnreadableFile("not_an_ecg", "This is not an ECG.", hint="Send WFDB."), 422, None),
    (NoProbes(), 404, None),
    (FilterRefused("lvef_min must not be above lvef_max."), 422, None),
    (JobUnknown(), 404, None),
    (JobRunning("ab" * 8), 409, None),
    (JobEnded(), 409, None),
    (QueueFull(7), 429, "7"),
    (NotReady("starting"), 503, "5"),
    (NotSearchable("index_missing", "There is no index yet."), 503, "5"),
    (BatcherClosed(), 503, "5"),
    (TookTooLong(), 503, "10"),
    (ReaderUnavailable(), 503, "5"),
    (JobNotStarted("index_read_only", "It cannot be written."), 503, "5"),
    (NoSpace(), 507, None),
]


@pytest.mark.parametrize(("refusal", "status", "retry_after"), REFUSALS, ids=lambda value: type(value).__name__)
def test_a_refusal_keeps_its_words_and_gets_a_status(refusal, status, retry_after):
    problem = problem_of(refusal)
    body = problem.body("r")
    assert (body["status"], body["code"], body["detail"]) == (status, refusal.code, refusal.sentence)
    assert body.get("hint", "") == refusal.hint
    assert (problem.headers or {}).get("Retry-After") == retry_after


def test_what_a_refusal_knows_besides_is_said_too():
    assert problem_of(JobRunning("ab" * 8)).body("r")["job_id"] == "ab" * 8
    unusable = UnusableRecording("leads_missing", "Lead V3 is missing.", leads=("V3",))
    assert problem_of(unusable).body("r")["leads"] == ["V3"]


@pytest.mark.parametrize("error", [Refusal("other", "Something."), IndexMissing("None."), ValueError("x")])
def test_a_refusal_that_no_request_should_meet_is_a_defect(error):
    with pytest.raises(TypeError):
        problem_of(error)
