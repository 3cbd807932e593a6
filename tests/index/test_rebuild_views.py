"""What a rebuild keeps of single views: their cines, and their vectors alone."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest
from made_up_cohorts import FakeBundle, FakeReader, make_cohort, rebuild

from embedding.clips import CACHE_FILE
from index.store import IndexStore
from inputs.echo.cine import CINE_FRAMES, MAX_CINE_BYTES
from inputs.echo.prepare import prepare_clip
from inputs.specs import EchoSpec


@pytest.fixture
def cohort(tmp_path):
    return make_cohort(tmp_path / "cohort")


def test_every_view_has_its_cine_and_the_vector_of_a_study_of_it_alone(cohort, tmp_path):
    rebuild(cohort, tmp_path / "index")
    generation, bundle = IndexStore(tmp_path / "index").open_current(), FakeBundle()
    card = generation.catalogue.card("s4")
    assert [view.has_cine for view in card.views] == [True] * 3
    webp = generation.catalogue.cine("s4", "v2")
    assert webp.startswith(b"RIFF")
    assert len(webp) <= MAX_CINE_BYTES
    clips = [
        prepare_clip(FakeReader().read_echo(cohort / f"s4v{v}.avi", max_frames=2), bundle.manifest.echo)
        for v in range(3)
    ]
    alone = [bundle.pool_study(vector[None]).embedding_D for vector in bundle.embed_clips(np.stack(clips))]
    np.testing.assert_allclose(generation.view_vectors.of_study(card.row_id), alone, atol=1e-3)


def test_a_study_of_one_view_is_as_similar_as_its_view(tmp_path):
    rebuild(make_cohort(tmp_path / "cohort", views=1), tmp_path / "index")
    generation = IndexStore(tmp_path / "index").open_current()
    query_D = generation.vector(3)
    hits = generation.index.search(query_D[None], 6)
    cards = generation.catalogue.cards(hits.ids_BK[0])
    alone = [similarity_V[0] for similarity_V in generation.view_similarities(cards, query_D)]
    np.testing.assert_allclose(alone, hits.similarity_BK[0], atol=5e-4)


def test_a_rebuild_on_what_an_older_version_kept_adds_cines_and_embeds_nothing(cohort, tmp_path):
    rebuild(cohort, tmp_path / "index")
    moving = IndexStore(tmp_path / "index").open_current().held()["cines"]["views"]
    assert 0 < moving <= 18, "clips in which no sector is found have none"
    with contextlib.closing(sqlite3.connect(tmp_path / "index" / CACHE_FILE)) as older, older:
        older.execute("DROP TABLE cines")
    bundle = FakeBundle()
    report = rebuild(cohort, tmp_path / "index", bundle=bundle)
    assert (report.embedded, report.reused, bundle.batches) == (0, 18, [])
    assert IndexStore(tmp_path / "index").open_current().held()["cines"]["views"] == moving


@pytest.mark.parametrize(("frames", "expected"), [(4, CINE_FRAMES), (30, 88)])
def test_no_more_frames_are_asked_for_than_the_encoder_or_a_cine_takes(cohort, tmp_path, frames, expected):
    asked = set()

    class Noting(FakeReader):
        def read_echo(self, path, *, max_frames=None, every=1):
            asked.add((max_frames, every))
            return super().read_echo(path, max_frames=max_frames, every=every)

    rebuild(
        cohort, tmp_path / "index", reader=Noting(), bundle=FakeBundle(spec=EchoSpec(frames=frames, stride=3, size=8))
    )
    assert asked == {(expected, 3)}
