"""What is said of a neighbour besides what is known of its study."""

from __future__ import annotations

import pytest

from outputs.study import Neighbour

STUDY = {"study_id": "s", "acquired_at": None, "age": None, "sex": None, "lvef_percent": None, "shd": None}


@pytest.mark.parametrize(
    ("similarity", "percentile", "unlike"),
    [(0.4, 99.0, False), (0.4, 50.0, False), (0.4, 49.9, True), (-0.01, 99.0, True), (0.0, None, False)],
)
def test_less_similar_than_chance_or_the_other_way_round_is_unlike(similarity, percentile, unlike):
    hit = Neighbour(**STUDY, rank=1, similarity=similarity, percentile=percentile, n_views=0, views=[])
    assert hit.unlike is unlike
    assert "unlike" not in hit.model_dump(), "for people: the JSON has the numbers"
