"""View vectors instead of clips: what is trained, measured and indexed is the same, and other vectors are refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from evaluated import CPU

from cohorts import check_cohort, open_cohort
from cohorts.adapters import VECTORS, Source, import_cohort
from embedding.export_views import export_views
from embedding.given_views import given_views
from ground.errors import Refusal
from index.rebuild import is_current, rebuild_index
from index.store import IndexStore
from models.bundle import BundleError, read_manifest
from training.evaluation.evaluate import evaluate
from training.train import train


@pytest.fixture(scope="module")
def own_clips(cohort_dir, tmp_path_factory):
    """A copy whose clips may be deleted."""
    return shutil.copytree(cohort_dir, tmp_path_factory.mktemp("clips") / "cohort")


@pytest.fixture(scope="module")
def of_clips(own_clips, micro_recipe, tmp_path_factory):
    return train(own_clips, micro_recipe, tmp_path_factory.mktemp("bundles") / "clips", CPU)


@pytest.fixture(scope="module")
def before(own_clips, of_clips, tmp_path_factory):
    """What the bundle says of the clips while they are there."""
    index = tmp_path_factory.mktemp("index-of-clips")
    rebuild_index(of_clips, own_clips, index, CPU)
    return evaluate(of_clips, open_cohort(own_clips), "test", CPU), index


@pytest.fixture(scope="module")
def exported(own_clips, of_clips, before, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "vectors"
    imported, unused = export_views(of_clips, own_clips, out, CPU)
    assert (unused, imported.check.problems) == ({}, ())
    for clip in (own_clips / "files").glob("*.avi"):
        clip.unlink()
    return out


@pytest.fixture(scope="module")
def on_vectors(micro_recipe):
    return micro_recipe.model_copy(update={"name": "micro_vectors", "echo_pretraining": None})


@pytest.fixture(scope="module")
def foreign(exported, tmp_path_factory):
    """The same vectors under another name, as if nobody here had their encoder."""
    out = tmp_path_factory.mktemp("foreign") / "vectors"
    source = Source(exported / "views.parquet", roots={"cohort": exported}, words={"vectors-of": "EchoElsewhere"})
    import_cohort(VECTORS, source, out)
    return out


@pytest.fixture(scope="module")
def of_vectors(foreign, on_vectors, tmp_path_factory):
    return train(foreign, on_vectors, tmp_path_factory.mktemp("bundles") / "vectors", CPU)


def test_an_exported_cohort_has_a_vector_for_each_clip_and_names_their_source(exported, own_clips, of_clips):
    cohort, clips = open_cohort(exported).tables, open_cohort(own_clips).tables
    assert len(cohort.views) == len(clips.echos)
    assert (cohort.echos.empty, cohort.lacks) == (True, None)
    manifest = read_manifest(of_clips)[0]
    assert cohort.view_source == manifest.view_source
    assert cohort.view_source.width == manifest.architecture.view_dim
    assert check_cohort(exported).n_views == len(clips.echos)


def test_evaluation_from_vectors_equals_that_from_the_deleted_clips(before, exported, of_clips):
    report = evaluate(of_clips, open_cohort(exported), "test", CPU)
    assert report.retrieval
    for ours, theirs in zip(_numbers(report.model_dump()), _numbers(before[0].model_dump()), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6, nan_ok=True)


def test_an_index_from_vectors_equals_that_from_the_deleted_clips_without_thumbnails(
    before, exported, of_clips, tmp_path
):
    rebuild_index(of_clips, exported, tmp_path, CPU)
    assert is_current(of_clips, exported, tmp_path)
    ours, theirs = (IndexStore(folder).open_current() for folder in (tmp_path, before[1]))
    np.testing.assert_allclose(ours.index.vectors_ND, theirs.index.vectors_ND, atol=1e-6)
    view, picture = (generation.catalogue.card("s-test0").views[0] for generation in (ours, theirs))
    assert (view.view_id, view.view, view.has_thumbnail) == (picture.view_id, picture.view, False)
    assert picture.has_thumbnail


def test_alignment_on_vectors_equals_that_on_the_clips_of_the_same_encoder(
    cohort_dir, exported, of_clips, on_vectors, tmp_path
):
    found = [
        train(cohort, on_vectors, tmp_path / name, CPU, start=of_clips)
        for name, cohort in (("clips", cohort_dir), ("vectors", exported))
    ]
    ours, theirs = (read_manifest(bundle)[0].metrics["validation"]["score"] for bundle in found)
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_a_bundle_of_foreign_vectors_names_their_source_and_has_no_echo_encoder(of_vectors, foreign, tmp_path):
    manifest = read_manifest(of_vectors)[0]
    assert "echo_encoder.safetensors" not in manifest.files
    assert manifest.view_source.name == "EchoElsewhere"
    assert manifest.gives("retrieval")
    assert not manifest.gives("view_vectors")
    assert "EchoElsewhere" in (of_vectors / "README.md").read_text()
    assert evaluate(of_vectors, open_cohort(foreign), "test", CPU).retrieval
    assert rebuild_index(of_vectors, foreign, tmp_path, CPU).studies == 40


def test_the_projection_is_as_wide_as_the_vectors(on_vectors, of_vectors, foreign):
    wider = on_vectors.architecture.model_copy(update={"view_dim": 99})
    from training.plan import for_views

    recipe = for_views(on_vectors.model_copy(update={"architecture": wider}), open_cohort(foreign).tables, None)
    assert recipe.architecture.view_dim == read_manifest(of_vectors)[0].architecture.view_dim == 12


def test_vectors_of_another_source_are_refused_with_one_sentence(foreign, of_clips, tmp_path):
    theirs = r"of EchoElsewhere \(12 numbers\)"
    with pytest.raises(BundleError, match=theirs) as refused:
        evaluate(of_clips, open_cohort(foreign), "test", CPU)
    assert refused.value.code == "view_source_differs"
    with pytest.raises(BundleError, match=theirs):
        rebuild_index(of_clips, foreign, tmp_path, CPU)


def test_a_bundle_of_vectors_takes_no_clips(of_vectors, cohort_dir, tmp_path):
    with pytest.raises(BundleError, match="has no echo encoder for clips"):
        rebuild_index(of_vectors, cohort_dir, tmp_path, CPU)
    assert not list(tmp_path.glob("generations/*"))


def test_a_recipe_that_pretrains_an_echo_encoder_says_that_it_needs_clips(exported, micro_recipe, tmp_path):
    with pytest.raises(Refusal, match="needs clips, and 80 views of this cohort are vectors") as refused:
        train(exported, micro_recipe, tmp_path / "b", CPU)
    assert "--recipe vectors" in refused.value.hint


def test_vectors_of_a_few_studies_are_mapped_in_the_order_of_the_table(exported, tmp_path):
    tables = open_cohort(exported).tables
    given = given_views(tables, ["s-test1", "s-train0"], tmp_path)
    assert {study: views.shape for study, views in given.items()} == {"s-test1": (2, 12), "s-train0": (2, 12)}
    assert not list(tmp_path.iterdir())
    whole = np.concatenate([piece.vectors_NW for piece in tables.view_pieces()])
    places = np.flatnonzero(tables.views["study_id"] == "s-test1")
    np.testing.assert_array_equal(given["s-test1"], whole[places])


def _numbers(value):
    if isinstance(value, dict):
        return [n for part in value.values() for n in _numbers(part)]
    if isinstance(value, list | tuple):
        return [n for part in value for n in _numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def test_the_manifest_tells_the_source_in_json(of_vectors):
    told = json.loads((of_vectors / "manifest.json").read_text())["training_data"]["view_vectors"]
    assert told == {"name": "EchoElsewhere", "width": 12, "sha256": "", "preparation": None}
