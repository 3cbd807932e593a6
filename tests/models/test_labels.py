"""What LVEF classes say of a single value of LVEF."""

from __future__ import annotations

import numpy as np
import pytest

from ground.findings import FLAGS_ABOUT_LVEF
from models.labels import LvefClasses


@pytest.mark.parametrize(
    ("percent", "wholly_and_partly"),
    [(45.0, (1, 2)), (40.0, (1, 1)), (50.0, (2, 3)), (39.0, (0, 1)), (49.0, (1, 2)), (60.0, (2, 3))],
)
def test_classes_at_or_below_a_value_are_counted_with_the_side_of_each_edge(percent, wholly_and_partly):
    classes = LvefClasses()
    assert classes.classes_up_to(percent) == wholly_and_partly
    fine = np.arange(0, 100, 0.25)
    number = classes.class_of(fine)
    wholly = [n for n in range(3) if (fine[number == n] <= percent).all()]
    partly = [n for n in range(3) if (fine[number == n] <= percent).any()]
    assert (len(wholly), len(partly)) == wholly_and_partly


def test_one_flag_is_about_lvef():
    assert FLAGS_ABOUT_LVEF == {"lvef_lte_45_flag": 45.0}
