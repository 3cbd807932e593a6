"""A refusal keeps what it says wherever it travels, and every expected error is one."""

import pickle

import pytest

from app.settings import SettingsError
from cohorts import CohortError
from ground.errors import Refusal
from ground.extras import ExtraMissing, require
from ground.findings import LV_PHENOTYPES, MEASUREMENTS, SHD_FLAGS, flag_words, phenotype_of, short_flag_words
from index.base import IndexBusy, IndexDamaged
from inputs.errors import UnreadableFile, UnusableRecording
from models.bundle import BundleError
from models.published.checkpoints import CheckpointError

REFUSALS = (
    Refusal("a_code", "A sentence.", hint="A hint."),
    UnreadableFile("file_empty", "The file is empty.", hint="Send one.", leads=("I", "II")),
    UnusableRecording("too_short", "Too short."),
    CohortError("no_pairs", "No pairs."),
    BundleError("this is no bundle"),
    CheckpointError("no_checkpoint", "a.pt is not a file."),
    IndexDamaged("Damaged."),
    IndexBusy("Busy.", pid=7),
    SettingsError("The setting port is wrong."),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
def test_a_refusal_survives_a_pickle_with_everything_it_says(refusal):
    again = pickle.loads(pickle.dumps(refusal))
    assert type(again) is type(refusal)
    assert vars(again) == vars(refusal)
    assert str(again) == again.sentence == str(refusal)
    assert isinstance(again, Refusal)
    assert again.code


def test_in_full_it_says_what_would_help():
    assert REFUSALS[0].in_full == "A sentence. A hint."
    assert REFUSALS[2].in_full == "Too short."


def test_a_missing_package_is_one_sentence_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(ExtraMissing) as refused:
        require("umap", "The map of the shared space")
    assert refused.value.sentence == "The map of the shared space needs the package umap."
    assert refused.value.hint == "Install it with: pip install 'echo2ecg[train]'"


def test_every_flag_and_every_phenotype_has_words_of_its_own():
    words = [flag_words(flag) for flag in SHD_FLAGS]
    assert len(set(words)) == len(SHD_FLAGS) == 11
    assert not any(
        "flag" in said or "_" in said or "gte" in said for said in [*words, *map(short_flag_words, SHD_FLAGS)]
    )
    assert flag_words("lvef_lte_45_flag") == "LVEF 45 % or less"
    phenotypes = [phenotype_of(column) for column in (*LV_PHENOTYPES, *MEASUREMENTS)]
    assert all(phenotype.words and phenotype.unit for phenotype in phenotypes)
    assert flag_words("some_other_flag") == "some other"
