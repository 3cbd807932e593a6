"""Every search back-end answers as exact numpy does."""

from __future__ import annotations

import functools
import re
import types

import faiss
import numpy as np
import pytest

from index.backends import BACKENDS, backend_named
from index.backends.faiss_backend import FaissIndex
from index.base import IndexDamaged

DIM = 24


class FakeGpu:
    """FAISS's GPU functions, answered by its CPU code."""

    SearchParameters = faiss.SearchParameters
    StandardGpuResources = types.SimpleNamespace
    get_num_gpus = staticmethod(lambda: 1)

    @staticmethod
    def index_cpu_to_gpu(resources, device, index):
        return faiss.clone_index(index)


def filled(engine, ids, vectors):
    index = engine(vectors.shape[1])
    index.add(ids, vectors)
    return index


def reloaded(engine, tmp_path):
    """Written to its file and opened again."""

    def load(ids, vectors):
        with open(tmp_path / engine.file_name, "wb") as file:
            filled(engine, ids, vectors).save(file.write)
        return engine.open(tmp_path / engine.file_name)

    return load


def on_gpu(ids, vectors):
    index = filled(FaissIndex, ids, vectors)
    if len(ids):
        assert index.place_on("cuda", FakeGpu)
        assert index.backend == "faiss-gpu-flat"
    return index


@pytest.fixture(params=["faiss-flat on a GPU", *BACKENDS, *(f"{name}, reloaded" for name in BACKENDS)])
def make_index(request, tmp_path):
    """Every back-end of `BACKENDS`, fresh and reloaded, and FAISS's GPU functions answered by its CPU code."""
    if request.param == "faiss-flat on a GPU":
        return on_gpu
    engine = backend_named(request.param.split(",")[0])
    return reloaded(engine, tmp_path) if "reloaded" in request.param else functools.partial(filled, engine)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_is_listed_under_its_own_name_and_says_where_its_vectors_lie(name):
    engine = backend_named(name)
    assert engine.name == name
    assert re.fullmatch(r"[a-z]+\.[a-z]+", engine.file_name)


def test_an_engine_that_nobody_knows_is_refused_by_name():
    with pytest.raises(IndexDamaged, match="search engine sonar, which this version does not have"):
        backend_named("sonar")


@pytest.mark.parametrize(
    ("ids", "vectors", "sentence"),
    [
        ([1, 1], np.eye(2, DIM), "ids must not be negative and must differ"),
        ([-1, 2], np.eye(2, DIM), "ids must not be negative and must differ"),
        ([0, 1], np.eye(2, DIM), "an id is in the index already"),
        ([1], np.eye(2, DIM), "there must be one id for every vector"),
        ([1], 2 * np.eye(1, DIM), "vectors must have unit length"),
        ([1], np.full((1, DIM), np.nan), "vectors must be finite"),
        ([1], np.eye(1, DIM + 1), f"vectors must be rows of {DIM} numbers"),
    ],
)
def test_vectors_that_cannot_be_found_again_are_refused(make_index, ids, vectors, sentence):
    index = make_index(np.array([0]), np.eye(1, DIM, dtype=np.float32))
    with pytest.raises(ValueError, match=sentence):
        index.add(np.array(ids), vectors.astype(np.float32))
    assert index.count == 1
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.search(np.eye(1, DIM, dtype=np.float32), 0)


def unit(rows_ND):
    return (rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)).astype(np.float32)


def random_unit(rng, count, dim=DIM):
    return unit(rng.standard_normal((count, dim)))


def exact(ids, vectors, queries, k, allowed=None):
    """Naive twin: every similarity in float64, all of them sorted."""
    keep = np.ones(len(ids), bool) if allowed is None else np.isin(ids, allowed)
    ids, vectors = ids[keep], vectors[keep]
    best_ids = np.full((len(queries), k), -1)
    best = np.full((len(queries), k), -np.inf)
    for row, query in enumerate(queries):
        similarity = (vectors.astype(np.float64) * query.astype(np.float64)).sum(1).astype(np.float32)
        order = np.lexsort((ids, -similarity))[:k]
        best_ids[row, : len(order)], best[row, : len(order)] = ids[order], similarity[order]
    return best_ids, best


def assert_exact(index, ids, vectors, queries, k, allowed=None):
    hits = index.search(queries, k, allowed)
    best_ids, best = exact(ids, vectors, queries, k, allowed)
    np.testing.assert_array_equal(hits.ids_BK, best_ids)
    np.testing.assert_allclose(hits.similarity_BK, best, rtol=0, atol=1e-7)
    assert hits.ids_BK.dtype == np.int64
    assert hits.similarity_BK.dtype == np.float32


@pytest.mark.parametrize("batch", [1, 3, 64, 300])
def test_random_vectors_are_ranked_exactly_at_every_batch_size(make_index, batch):
    rng = np.random.default_rng(batch)
    ids, vectors = rng.permutation(5000)[:1500], random_unit(rng, 1500)
    assert_exact(make_index(ids, vectors), ids, vectors, random_unit(rng, batch), 10)


@pytest.mark.parametrize("distinct", [1, 7, 200])
def test_equal_vectors_come_in_ascending_id_order(make_index, distinct):
    rng = np.random.default_rng(distinct)
    vectors = random_unit(rng, distinct)[rng.integers(0, distinct, 900)]
    ids = rng.permutation(9000)[:900]
    assert_exact(make_index(ids, vectors), ids, vectors, np.concatenate([vectors[:5], random_unit(rng, 40)]), 25)


@pytest.mark.parametrize("distinct", [2000, 60], ids=["", "many are equal"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.02, 0.1, 0.5, 0.97, 0.999, 1.0])
def test_allowed_ids_are_searched_exactly_at_every_selectivity(make_index, share, distinct):
    rng = np.random.default_rng(7)
    ids, vectors = np.sort(rng.permutation(9000)[:2000]), random_unit(rng, distinct)[rng.permutation(2000) % distinct]
    allowed = rng.permutation(ids)[: round(share * 2000)]
    index = make_index(ids, vectors)
    for batch in (1, 40):
        assert_exact(index, ids, vectors, random_unit(rng, batch), 12, allowed)


@pytest.mark.parametrize("n_excluded", [1, 40, 64, 65, 500])
def test_excluding_exactly_the_best_gives_the_next_best(make_index, n_excluded):
    rng = np.random.default_rng(n_excluded)
    ids, vectors, query = np.arange(1000), random_unit(rng, 1000), random_unit(rng, 1)
    index = make_index(ids, vectors)
    best = index.search(query, n_excluded).ids_BK[0]
    assert_exact(index, ids, vectors, query, 10, np.setdiff1d(ids, best))


def test_allowed_ids_that_are_not_there_or_come_twice_change_nothing(make_index):
    rng = np.random.default_rng(3)
    ids, vectors = np.arange(100) * 2, random_unit(rng, 100)
    allowed = np.array([4, 4, 5, -1, 10**12, 90])
    assert_exact(make_index(ids, vectors), ids, vectors, random_unit(rng, 2), 5, allowed)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_more_neighbours_than_vectors_are_padded_with_minus_one(make_index, count):
    rng = np.random.default_rng(count)
    ids, vectors = np.arange(count), random_unit(rng, count).reshape(count, DIM)
    assert_exact(make_index(ids, vectors), ids, vectors, random_unit(rng, 3), 40)


def test_removed_vectors_are_never_found_and_the_rest_stay_exact(make_index):
    rng = np.random.default_rng(5)
    ids, vectors = rng.permutation(600), random_unit(rng, 600)
    index = make_index(ids, vectors)
    gone = rng.permutation(ids)[:200]
    assert index.remove(np.concatenate([gone, [10_000]])) == 200
    assert index.remove(gone) == 0
    keep = ~np.isin(ids, gone)
    queries = random_unit(rng, 20)
    assert_exact(index, ids[keep], vectors[keep], queries, 10)
    new = random_unit(rng, 200)
    index.add(gone, new)
    assert index.count == 600
    ids, vectors = np.concatenate([ids[keep], gone]), np.concatenate([vectors[keep], new])
    assert_exact(index, ids, vectors, queries, 10, allowed=np.arange(0, 600, 2))


def test_a_query_gets_the_same_bits_alone_and_in_a_batch(make_index):
    rng = np.random.default_rng(9)
    index = make_index(np.arange(3000), random_unit(rng, 3000))
    queries = random_unit(rng, 70)
    together = index.search(queries, 10)
    for row in range(70):
        alone = index.search(queries[row : row + 1], 10)
        np.testing.assert_array_equal(alone.ids_BK[0], together.ids_BK[row])
        np.testing.assert_array_equal(alone.similarity_BK[0], together.similarity_BK[row])


def test_vectors_closer_than_float32_rounding_are_still_ranked_by_float64(make_index):
    rng = np.random.default_rng(11)
    vectors = unit(random_unit(rng, 1, 512) + rng.standard_normal((400, 512)) * 1e-8)
    assert_exact(make_index(np.arange(400), vectors), np.arange(400), vectors, vectors[:3], 10)
