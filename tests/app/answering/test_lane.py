"""The lane: what is known of an ECG already is not asked of the model again."""

import numpy as np
import pytest

from app.answering.lane import Query, retrieve
from app.answering.snapshots import Snapshot
from index.rows import RowSet
from index.store import IndexStore


@pytest.fixture
def snapshot(index_dir, make_bundle):
    return Snapshot(make_bundle(), IndexStore(index_dir).open_current())


def windows(seed):
    return np.random.default_rng(seed).standard_normal((1, 12, 1008)).astype(np.float32)


def test_a_verdict_that_is_known_is_kept_and_searched_with_and_nothing_is_embedded(snapshot):
    (first,) = retrieve([Query(snapshot, windows(0), k=5)])
    snapshot.embedder.batches.clear()
    allowed_N = np.array([1, 4, 9, 16], np.int64)
    again, fewer = retrieve(
        [
            Query(snapshot, None, 5, verdict=first.verdict),
            Query(snapshot, None, 3, RowSet.of(allowed_N), verdict=first.verdict),
        ]
    )
    assert not snapshot.embedder.batches
    assert again.verdict is fewer.verdict is first.verdict
    np.testing.assert_array_equal(again.ids_K, first.ids_K)
    np.testing.assert_array_equal(again.similarity_K, first.similarity_K)
    assert set(fewer.ids_K) <= set(allowed_N)


def test_known_and_new_ecgs_of_one_batch_each_get_their_own(snapshot):
    alone = [retrieve([Query(snapshot, windows(seed), k=3)])[0] for seed in (0, 1)]
    vector_D = snapshot.searchable.vector(7)
    mixed = retrieve(
        [
            Query(snapshot, windows(0), k=3),
            Query.of_vector(snapshot, vector_D, 3),
            Query(snapshot, None, 3, verdict=alone[1].verdict),
            Query(snapshot, windows(1), k=3),
        ]
    )
    for number, expected in ((0, alone[0]), (2, alone[1]), (3, alone[1])):
        np.testing.assert_array_equal(mixed[number].ids_K, expected.ids_K)
    assert (mixed[1].ids_K[0], mixed[1].similarity_K[0]) == (7, pytest.approx(1, abs=1e-6))
    assert mixed[1].verdict.lvef is None


def test_a_query_has_windows_or_a_verdict(snapshot):
    (found,) = retrieve([Query(snapshot, windows(0))])
    for given in ({"windows_WLN": None}, {"windows_WLN": windows(0), "verdict": found.verdict}):
        with pytest.raises(ValueError, match="windows, or a verdict"):
            Query(snapshot, **given)
