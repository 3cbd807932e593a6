"""Without a work folder an evaluation leaves nothing, and takes away what the kill of an earlier one left."""

import tempfile

import pytest

import training.evaluation.evaluate as evaluation
from cli.demo import DEMO_BUNDLE
from models.device import Machine


def test_prepared_ecgs_lie_in_a_private_folder_that_is_gone_afterwards(cohort_dir, tmp_path, monkeypatch):
    (tmp_path / "echo2ecg-evaluate-abcdefgh" / "ecgs").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def embedded(bundle, lacking, cohort, split, folder, machine):
        assert list(tmp_path.iterdir()) == [folder]
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "ecgs").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "measure", embedded)
    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate(DEMO_BUNDLE, cohort_dir, "test", Machine.named("cpu", workers=0))
    assert list(tmp_path.iterdir()) == []
