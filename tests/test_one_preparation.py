"""Training and serving prepare bit for bit the same: a file gives one array, whoever reads it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from app.answering.pipeline import Question, _prepare
from embedding.ecgs import ecg_array
from embedding.prepared import clip_bytes, normalised_clip, read_clip
from inputs.ecg.prepare import ecg_windows
from inputs.echo.prepare import prepare_clip
from inputs.guarded.reader import GuardedReader
from inputs.records import UploadedFile
from inputs.specs import EcgSpec, EchoSpec

ECG_FILE, ECHO_FILE = (
    Path(str(get_testdata_file(name, download=False))) for name in ("waveform_ecg.dcm", "examples_ybr_color.dcm")
)


@pytest.fixture(scope="module")
def reader():
    with GuardedReader(workers=1) as reader:
        yield reader


def test_an_ecg_is_prepared_for_training_as_it_is_for_an_answer(reader):
    spec = EcgSpec(windows="mean")
    recording = reader.read_ecg([UploadedFile(ECG_FILE.name, ECG_FILE.read_bytes())])
    snapshot = SimpleNamespace(embedder=SimpleNamespace(ecg=spec))
    query, _, _ = _prepare(recording, snapshot, Question())
    np.testing.assert_array_equal(query.windows_WLN, ecg_windows(ecg_array(ECG_FILE, spec, reader), spec))


@pytest.mark.parametrize("spec", [EchoSpec(frames=4, size=32), EchoSpec(frames=1, size=32), EchoSpec(size=32)])
def test_a_clip_is_prepared_for_training_as_it_is_for_the_index(reader, spec):
    for_the_index = prepare_clip(read_clip(ECHO_FILE, spec, reader), spec)
    for_training = normalised_clip(clip_bytes(ECHO_FILE, spec, reader), spec)
    np.testing.assert_array_equal(for_the_index, for_training)
