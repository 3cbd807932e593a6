"""The map of the shared space by UMAP itself, which takes seconds to compile; the other tests have a stand-in."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.shared_map import shared_map

pytestmark = pytest.mark.drill


def test_what_is_alike_in_the_shared_space_lies_together_on_the_map():
    """Two groups of ECGs and studies, each around a direction of its own."""
    draw = np.random.default_rng(0)
    group = np.arange(80) % 2
    vectors = np.eye(8)[group] + 0.1 * draw.standard_normal((80, 8))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    lvef = np.where(group == 0, 30.0, 60.0)
    found = shared_map(unit[:50], lvef[:50], unit[50:], lvef[50:])
    places = np.concatenate([np.column_stack([part.x, part.y]) for part in (found.ecgs, found.studies)])
    assert places.shape == (80, 2)
    assert np.isfinite(places).all()
    centres = np.array([places[group == g].mean(axis=0) for g in (0, 1)])
    nearest = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
    assert np.array_equal(nearest, group)
    assert found == shared_map(unit[:50], lvef[:50], unit[50:], lvef[50:])
    assert (found.ecgs.lvef_percent, found.studies.of) == (tuple(lvef[:50]), 30)
