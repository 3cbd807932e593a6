"""What the layout before the rooms wrote is read on: a bundle, an index, and a work folder whose files count as done.

`tests/data/first_layout` was written by that code, once: a cohort of four patients (one clip is no clip), a bundle with
random data behind it, the work folder of its training and an index.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import inputs.ecg.read
import inputs.echo.read
from cohorts import open_cohort
from embedding.clips import open_view_cache
from embedding.ecgs import fill_store
from embedding.prepared import clip_bytes
from embedding.sources import clip_sha256, spec_hash
from embedding.store import ArrayStore
from ground.findings import MEASUREMENTS
from index.rebuild import is_current, rebuild_index
from index.store import IndexStore
from models.bundle import Bundle, verify_bundle
from models.device import Machine
from training.data.cohort_arrays import clip_sources, prepared_signals, study_views

WRITTEN = Path(__file__).parents[1] / "data" / "first_layout"
HERE = Machine(torch.device("cpu"), workers=0)


@pytest.fixture
def written(tmp_path):
    return Path(shutil.copytree(WRITTEN, tmp_path / "first_layout"))


@pytest.fixture
def read_files(monkeypatch):
    """Names of the files that a parser is asked to read, in this process."""
    names = []
    for module, kind in ((inputs.ecg.read, "read_ecg"), (inputs.echo.read, "read_echo")):
        real = getattr(module, kind)

        def spy(source, *args, _real=real, **options):
            names.append(source[0].name if isinstance(source, list) else Path(source).name)
            return _real(source, *args, **options)

        monkeypatch.setattr(module, kind, spy)
    return names


def test_its_bundle_verifies_and_embeds(written):
    verify_bundle(written / "bundle")
    bundle = Bundle.load(written / "bundle", device="cpu")
    spec = bundle.manifest.ecg
    windows = np.random.default_rng(0).standard_normal((1, 1, len(spec.leads), spec.window_samples), np.float32)
    assert np.isfinite(bundle.embed_ecgs(windows).embeddings_BD).all()


def test_its_index_is_served_and_is_current_for_the_same_bundle_and_tables(written):
    bundle = Bundle.load(written / "bundle", device="cpu", parts=("ecg",))
    generation = IndexStore(written / "index").open_current(bundle.sha256)
    assert (generation.degraded, generation.index.count) == (None, 4)
    assert generation.catalogue.card("s-train0").study_id == "s-train0"
    assert is_current(written / "bundle", written / "cohort", written / "index")


def test_its_index_answers_with_the_measurements_that_it_has_and_a_rebuild_adds_none_that_no_table_has(written):
    """It was written before catalogues kept further measurements."""
    bundle = Bundle.load(written / "bundle", device="cpu", parts=("ecg",))
    before = IndexStore(written / "index").open_current(bundle.sha256)
    card = before.catalogue.card("s-train0")
    assert card.lvef_percent is not None
    assert card.measurements == {}
    assert before.usual.spreads["lvef_percent"].n == 4
    assert not {*before.usual.spreads} & {*MEASUREMENTS}
    rebuild_index(written / "bundle", written / "cohort", written / "index", HERE)
    assert IndexStore(written / "index").open_current(bundle.sha256).usual == before.usual


def test_a_rebuild_embeds_once_more_since_its_thumbnails_may_hold_text_and_then_nothing_again(written, read_files):
    for embedded, reused in ((7, 0), (0, 7)):
        read_files.clear()
        report = rebuild_index(written / "bundle", written / "cohort", written / "index", HERE)
        assert (report.studies, report.embedded, report.reused) == (4, embedded, reused)
        assert len(set(read_files)) == embedded + 1  # and the one that is no clip, of which nothing is kept


def test_nothing_in_its_work_folder_is_prepared_or_embedded_twice(written, read_files):
    bundle = Bundle.load(written / "bundle", device="cpu", parts=("echo",))
    cohort, work = open_cohort(written / "cohort").tables, written / "work"
    signals, _ = prepared_signals(cohort, cohort.ecgs["ecg_id"], bundle.manifest.ecg, work, HERE)
    clips = clip_sources(cohort, cohort.studies["study_id"])
    with ArrayStore(work / f"clips-{spec_hash(bundle.manifest.echo)}", np.uint8) as decoded:
        usable = fill_store(decoded, clips, clip_bytes, bundle.manifest.echo, HERE, stage="", hash_of=clip_sha256)
        views, skipped = study_views(bundle, cohort, cohort.studies["study_id"], work, HERE, decoded=decoded)
    assert not read_files
    assert (len(signals), len(usable.files), len(views)) == (4, 7, 4)
    assert list(skipped.values()) == ["This file is not a DICOM, AVI or MP4 clip."]


def test_view_vectors_of_the_old_store_are_taken_over_bit_for_bit_and_once(written):
    bundle = Bundle.load(written / "bundle", device="cpu", parts=("echo",))
    old = written / "work" / f"views-{bundle.echo_encoder_sha256[:12]}-{spec_hash(bundle.manifest.echo)}"
    with ArrayStore(old, np.float32) as store:
        expected = {key: np.array(store[key]) for key in store if not store.note(key)}
    assert len(expected) == 7
    for _ in range(2):  # the second time there is no store any more
        with open_view_cache(written / "work", bundle) as cache:
            for key, vector_V in expected.items():
                np.testing.assert_array_equal(cache.get(key).vector_V, vector_V)
        assert not old.exists()
