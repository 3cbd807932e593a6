"""What can be drawn is kept of an answer where that is asked for, and nothing else of the samples."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from dipole import heart_mv

from app.answering.pipeline import Question, _prepare
from inputs.records import STANDARD_LEADS, EcgRecording
from inputs.specs import EcgSpec


def prepared(question, *, seconds=10.0):
    signal_mv = heart_mv(3, seconds=seconds).astype(np.float32)
    signal_mv[9] = 0.0
    snapshot = SimpleNamespace(embedder=SimpleNamespace(ecg=EcgSpec()))
    return signal_mv, _prepare(EcgRecording(signal_mv, 500.0, STANDARD_LEADS, "made up"), snapshot, question)[1]


def test_the_tracing_is_kept_where_it_is_asked_for():
    signal_mv, ecg = prepared(Question(traced=True), seconds=60.0)
    tracing = ecg.tracing
    assert tracing.signal_mv_LN.nbytes <= 250_000
    assert tracing.signal_mv_LN.base is None or tracing.signal_mv_LN.base.nbytes <= 250_000
    np.testing.assert_array_equal(tracing.signal_mv_LN, signal_mv[:, :5000])
    assert tracing.windows_s == ((0.0, 2.52),)
    assert [one.code for one in tracing.found_of("V4")] == ["leads_flat"]


def test_and_not_where_it_is_not():
    assert prepared(Question())[1].tracing is None
