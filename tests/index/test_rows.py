"""Which rows a search may return, while it waits."""

from __future__ import annotations

import numpy as np
import pytest

from index.rows import RowSet


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.3, 1.0])
def test_a_set_of_rows_gives_back_its_ids_whatever_share_they_are(share):
    rng = np.random.default_rng(3)
    ids_N = np.flatnonzero(rng.random(50_000) < share)
    rows = RowSet.of(ids_N)
    assert rows.count == len(ids_N)
    np.testing.assert_array_equal(rows.ids, ids_N)
    assert rows.ids.dtype == np.int64


def test_a_set_of_rows_takes_a_bit_for_each_and_few_of_many_take_less():
    all_but_one_N = np.delete(np.arange(1_000_000), 7)
    assert RowSet.of(all_but_one_N).nbytes == 125_000
    assert RowSet.of(np.array([3, 999_999])).nbytes == 16
