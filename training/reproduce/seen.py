"""What an arm sees of the patients: which of a study's views, which pairs, and whose.

Letters: P pairs, S studies, V views, D dimensions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.data.batches import PairedArrays
from training.reproduce.arms import A4C, Aligned
from training.reproduce.data import ComparisonData, PatientGroup

_FIXED_VIEW, _SHUFFLE = 1, 2
"""Random streams of a seed, apart from those of training."""


def seen_by(arm: Aligned, data: ComparisonData, seed: int) -> ComparisonData:
    """The patients as `arm` trains, chooses and is tested with them; test ECGs and studies are those of every arm."""
    train, val, test = data.train, data.val, data.test
    if arm.without_site is not None:
        train, val = (part.only(part.group_E("site") != arm.without_site) for part in (train, val))
    if arm.views == "a4c":
        train, val, test = (with_views(part, a4c_views(part)) for part in (train, val, test))
    if arm.views == "one_fixed":
        train = with_views(train, one_view_each(train, np.random.default_rng([seed, _FIXED_VIEW])))
    if arm.shuffled:
        draw = np.random.default_rng([seed, _SHUFFLE])
        train, val = (replace(part, pairs=shuffled_between_patients(part.pairs, draw)) for part in (train, val))
    return ComparisonData(train, val, test)


def with_views(group: PatientGroup, views_VD: list[NDArray[np.float32]]) -> PatientGroup:
    return replace(group, pairs=replace(group.pairs, views_VD=views_VD))


def a4c_views(group: PatientGroup) -> list[NDArray[np.float32]]:
    """Of each study the apical four-chamber views; all of its views where it has none."""
    return [
        views_VD[names_V == A4C] if (names_V == A4C).any() else views_VD
        for views_VD, names_V in zip(group.pairs.views_VD, group.view_names_V, strict=True)
    ]


def one_view_each(group: PatientGroup, draw: Generator) -> list[NDArray[np.float32]]:
    """Of each study one view, drawn once."""
    return [views_VD[draw.integers(len(views_VD))][None] for views_VD in group.pairs.views_VD]


def shuffled_between_patients(pairs: PairedArrays, draw: Generator) -> PairedArrays:
    """Every ECG with a study of the next patient in a random ring: nobody keeps a study of their own."""
    ring = draw.permutation(np.unique(pairs.patient_P))
    if len(ring) < 2:
        raise ValueError("pairs of a single patient cannot be shuffled between patients")
    studies_of = {patient: pairs.study_P[pairs.patient_P == patient] for patient in ring}
    next_of = dict(zip(ring, np.roll(ring, -1), strict=True))
    study_P = np.array([draw.choice(studies_of[next_of[patient]]) for patient in pairs.patient_P], np.int64)
    return replace(pairs, study_P=study_P)
