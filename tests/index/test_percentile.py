"""A percentile is the share of a sample of the index that is less similar to the ECG than the neighbour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.backends.faiss_backend import FaissIndex
from index.percentile import FEWEST_STUDIES, LARGEST_SAMPLE, SimilaritySample

DIM = 8


def unit_vectors(seed, count, dim=DIM):
    vectors = np.random.default_rng(seed).standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def index_of(vectors_ND):
    index = FaissIndex(vectors_ND.shape[1])
    index.add(np.arange(len(vectors_ND)), vectors_ND)
    return index


@given(
    seed=st.integers(0, 2**32 - 1),
    studies=st.integers(1, 400),
    queries=st.integers(1, 4),
    similarities=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30),
)
@settings(deadline=None, max_examples=100)
def test_it_never_falls_where_similarity_rises(seed, studies, queries, similarities):
    sample = SimilaritySample(unit_vectors(seed, studies))
    rising_K = np.sort(np.array(similarities, np.float32))
    queries_BD = unit_vectors(seed + 1, queries)
    for percentile_K in sample.percentiles(queries_BD, [rising_K] * queries):
        assert (np.diff(percentile_K) >= 0).all()
        assert (percentile_K >= 0).all()
        assert (percentile_K <= 100).all()


def test_it_is_the_share_of_the_sample_that_is_less_similar():
    index = index_of(unit_vectors(0, 300))
    queries_BD = unit_vectors(1, 5)
    hits = index.search(queries_BD, 300)
    said = SimilaritySample.of(index).percentiles(queries_BD, list(hits.similarity_BK))
    for query_D, similarity_K, percentile_K in zip(queries_BD, hits.similarity_BK, said, strict=True):
        all_N = index.vectors_ND.astype(np.float64) @ query_D
        expected = [100 * np.mean(all_N < similarity - 1e-6) for similarity in similarity_K.astype(np.float64)]
        np.testing.assert_allclose(percentile_K, expected)
    assert said[0][0] == pytest.approx(100 * 299 / 300), "the nearest is not less similar than itself"
    assert said[0][-1] == 0


def test_studies_as_similar_as_the_neighbour_are_not_counted():
    one_D, other_D = np.eye(2, dtype=np.float32)
    sample = SimilaritySample(np.stack([one_D] * 30 + [other_D] * 70))
    (percentile_K,) = sample.percentiles(one_D[None], [np.array([1.0, 0.0], np.float32)])
    np.testing.assert_array_equal(percentile_K, [70.0, 0.0])


def test_queries_in_a_batch_get_what_they_get_alone_however_many_neighbours_each_has():
    index = index_of(unit_vectors(0, 500, dim=64))
    sample = SimilaritySample.of(index)
    queries_BD = unit_vectors(1, 6, dim=64)
    hits = index.search(queries_BD, 20)
    similarity_BK = [hits.similarity_BK[row, : 20 - 3 * row] for row in range(6)]
    together = sample.percentiles(queries_BD, similarity_BK)
    for row, similarity_K in enumerate(similarity_BK):
        (alone,) = sample.percentiles(queries_BD[row : row + 1], [similarity_K])
        np.testing.assert_array_equal(together[row], alone)


def test_a_large_index_gives_the_same_sample_whenever_it_is_asked_and_from_everywhere_in_it():
    vectors_ND = unit_vectors(0, 3 * LARGEST_SAMPLE, dim=4)
    first, again = (SimilaritySample.of(index_of(vectors_ND)).vectors_SD for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(first) == LARGEST_SAMPLE
    chosen = {bytes(vector) for vector in first}
    rows_S = [row for row, vector in enumerate(vectors_ND) if bytes(vector) in chosen]
    assert len(set(rows_S)) == LARGEST_SAMPLE, "no study twice"
    thirds = np.histogram(rows_S, bins=3, range=(0, len(vectors_ND)))[0] / LARGEST_SAMPLE
    np.testing.assert_allclose(thirds, 1 / 3, atol=0.03)


def test_the_sample_lives_on_when_the_index_is_gone():
    index = index_of(unit_vectors(0, 200))
    sample = SimilaritySample.of(index)
    assert not np.shares_memory(sample.vectors_SD, index.vectors_ND)


def test_an_index_too_small_for_percentiles_has_none():
    assert SimilaritySample.of(index_of(unit_vectors(0, FEWEST_STUDIES - 1))) is None
    assert SimilaritySample.of(index_of(unit_vectors(0, FEWEST_STUDIES))) is not None
