"""Patients of a comparison without files: random numbers in place of ECGs and views, two ECGs and one study each."""

import numpy as np
import pandas as pd

from training.data.batches import PairedArrays
from training.objectives.supervised import LabelledEcgs
from training.reproduce.data import PatientGroup
from training.reproduce.endpoints import PHENOTYPES, QUESTIONS

VIEWS = np.array(["PLAX", "A4C", "A4C", "A2C"])


def group_of(patients, *, seed=0, sites=("0", "1", "2")):
    draw = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), 2)
    signals = [draw.standard_normal((2, 8)).astype(np.float32) for _ in owner]
    views = [draw.standard_normal((len(VIEWS), 3)).astype(np.float32) for _ in range(patients)]
    pairs = PairedArrays(signals, views, np.arange(2 * patients), owner, owner)
    return PatientGroup(
        pairs,
        LabelledEcgs(signals, owner, owner % 3, owner % 2),
        draw.normal(50, 10, (patients, len(PHENOTYPES))),
        [VIEWS] * patients,
        np.repeat(draw.integers(0, 2, (patients, len(QUESTIONS))), 2, axis=0).astype(float),
        pd.DataFrame({"site": np.array(sites)[owner % len(sites)]}),
    )
