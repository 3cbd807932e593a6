"""Vectors of single views lie in a generation in the order of its catalogue, verified as everything in it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from made_up_generations import BUNDLE, DIM, write_generation

from index.base import IndexDamaged
from index.catalogue.cards import CataloguedView, StudyCard
from index.store import IndexStore
from index.view_vectors import FILE

N_VIEWS = (1, 3, 2, 5)
ROW_IDS = (0, 1, 5, 9)


def unit(rng, rows):
    vectors = rng.standard_normal((rows, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def card_of(row_id, n_views):
    views = tuple(CataloguedView(f"v{number}", None, 1 / n_views) for number in range(n_views))
    unknown = dict.fromkeys(("acquired_at", "age", "sex", "lvef_percent", "lvedv_ml", "lvesv_ml", "shd"))
    return StudyCard(row_id=row_id, study_id=f"s{row_id}", patient_id=f"p{row_id}", flags={}, views=views, **unknown)


def write(root, *, cines=True):
    """Studies with the vectors of their views; the first view of each has a cine. Returns the vectors by row id."""
    rng, alone = np.random.default_rng(3), {}
    with IndexStore(root).write(**BUNDLE, dim=DIM, build={}) as writer:
        for row_id, n_views in zip(ROW_IDS, N_VIEWS, strict=True):
            alone[row_id] = unit(rng, n_views)
            moving = {"v0": bytes(100 + row_id)} if cines else {}
            writer.add(card_of(row_id, n_views), unit(rng, 1)[0], {}, moving, alone[row_id])
    return alone


@pytest.fixture
def written(tmp_path):
    return tmp_path, write(tmp_path)


def test_each_view_has_its_own_vectors_cosine(written):
    root, alone = written
    generation = IndexStore(root).open_current()
    query_D = unit(np.random.default_rng(4), 1)[0]
    cards = generation.catalogue.cards([9, 0, 5])
    similarities = generation.view_similarities(cards, query_D)
    for card, similarity_V in zip(cards, similarities, strict=True):
        assert similarity_V.shape == (len(card.views),)
        np.testing.assert_allclose(similarity_V, alone[card.row_id] @ query_D, atol=5e-4)


def test_the_file_is_plain_float16_that_anybody_can_map(written):
    root, alone = written
    path = root / "generations" / "000001" / FILE
    mapped = np.memmap(path, "<f2", "r").reshape(-1, DIM)
    np.testing.assert_array_equal(mapped, np.concatenate([alone[row] for row in ROW_IDS]).astype(np.float16))
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert manifest["files"][FILE]["size"] == sum(N_VIEWS) * DIM * 2
    assert manifest["schema_version"] == 1, "an older version verifies and serves it"


def test_what_is_held_of_the_views_is_told_with_its_size(written):
    info = IndexStore(written[0]).info()
    assert info["cines"] == {"views": 4, "bytes": 4 * 100 + sum(ROW_IDS)}
    assert info["view_vectors"] == {"views": 11, "bytes": 11 * DIM * 2}


def test_a_generation_from_before_has_neither_and_is_sound(tmp_path):
    write_generation(tmp_path, seed=1)
    generation = IndexStore(tmp_path).open_current()
    assert (generation.degraded, generation.view_vectors) == (None, None)
    assert generation.view_similarities(generation.catalogue.cards([0]), np.eye(DIM)[0].astype(np.float32)) == []
    assert IndexStore(tmp_path).verify() == []
    info = IndexStore(tmp_path).info()
    assert (info["cines"], info["view_vectors"]) == (None, None)


@pytest.mark.parametrize("at", [0, 7, -1])
def test_a_changed_byte_in_them_is_damage(written, at):
    path = written[0] / "generations" / "000001" / FILE
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert IndexStore(written[0]).verify() == [
        f"Generation 000001 is damaged: {FILE} does not have the recorded size and hash."
    ]


def test_an_open_generation_reads_them_after_its_folder_is_gone_and_not_after_it_was_closed(written):
    root, alone = written
    generation = IndexStore(root).open_current()
    shutil.rmtree(root / "generations")
    np.testing.assert_allclose(generation.view_vectors.of_study(1), alone[1], atol=1e-3)
    with pytest.raises(KeyError):
        generation.view_vectors.of_study(2)
    generation.close()
    with pytest.raises(ValueError, match="closed"):
        generation.view_vectors.of_study(1)


def test_a_file_that_shrinks_while_it_is_open_is_damage_and_no_signal(written):
    root, _ = written
    generation = IndexStore(root).open_current()
    (root / "generations" / "000001" / FILE).write_bytes(b"")
    with pytest.raises(IndexDamaged):
        generation.view_similarities(generation.catalogue.cards([9]), np.zeros(DIM, np.float32))
    assert generation.catalogue.damaged


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ((1, 2, None), "of every study, or of none"),
        ((1, 2, 3), "one view vector for every view"),
        ((0, 2, 2), "ascending row id"),
    ],
)
def test_vectors_that_would_not_be_found_again_are_not_written(tmp_path, second, says):
    rng = np.random.default_rng(0)
    row_id, n_views, n_vectors = second
    vectors_VD = None if n_vectors is None else unit(rng, n_vectors)
    with IndexStore(tmp_path).write(**BUNDLE, dim=DIM, build={}) as writer:
        writer.add(card_of(0, 1), unit(rng, 1)[0], {}, {}, unit(rng, 1))
        with pytest.raises(ValueError, match=says):
            writer.add(card_of(row_id, n_views), unit(rng, 1)[0], {}, {}, vectors_VD)
    assert IndexStore(tmp_path).open_current().view_vectors.count == 1


def test_a_study_without_views_takes_no_row(tmp_path):
    rng = np.random.default_rng(0)
    last = unit(rng, 2)
    with IndexStore(tmp_path).write(**BUNDLE, dim=DIM, build={}) as writer:
        writer.add(card_of(0, 1), unit(rng, 1)[0], {}, {}, unit(rng, 1))
        writer.add(card_of(1, 0), unit(rng, 1)[0], {}, {}, np.empty((0, DIM), np.float32))
        writer.add(card_of(2, 2), unit(rng, 1)[0], {}, {}, last)
    vectors = IndexStore(tmp_path).open_current().view_vectors
    assert vectors.of_study(1).shape == (0, DIM)
    np.testing.assert_allclose(vectors.of_study(2), last, atol=1e-3)
