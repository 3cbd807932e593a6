"""What is usual among some studies: medians, quartiles and shares of what is known, and nothing of what is not."""

from __future__ import annotations

import numpy as np
import pytest

from index.catalogue.spread import MEASURED, Share, Spread, Usual


def test_a_spread_has_the_median_and_the_quartiles():
    assert Spread.of([10.0, 50.0, 30.0, 20.0, 40.0]) == Spread(median=30.0, low=20.0, high=40.0, n=5)
    assert Spread.of(np.array([1.0, 2.0, 3.0, 4.0])) == Spread(median=2.5, low=1.75, high=3.25, n=4)


@pytest.mark.parametrize("known", [0, 1, 2])
def test_of_fewer_than_three_nothing_is_said(known):
    assert Spread.of([50.0] * known) is None
    assert Share.of([True] * known) is None
    assert Usual.of({"lvef_percent": [50.0] * known}, [True] * known) == Usual({}, None)


def test_a_share_counts_those_of_whom_it_is_known():
    assert Share.of([True, False, False, False]) == Share(share=0.25, n=4)


def test_columns_come_in_the_order_of_the_tables_and_others_not_at_all():
    values = [1.0, 2.0, 3.0]
    usual = Usual.of({"pasp_mmhg": values, "age": values, "lvef_percent": values, "septum_cm": values[:2]}, [])
    assert list(usual.spreads) == ["lvef_percent", "pasp_mmhg"]
    assert MEASURED.index("lvef_percent") < MEASURED.index("pasp_mmhg")
