"""What a simulated cohort says of every record's true heart: `truth.csv`, beside the tables that real cohorts have.

The comparison reads it for what no table has: the artery of an old infarct, rhythm and site, and the perfect facts that
an ideal ranking knows. No arm is trained on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_FILE = "truth.csv"
_PLAIN = (
    "lvef_percent",
    "septum_cm",
    "posterior_wall_cm",
    "rv_basal_cm",
    "tapse_cm",
    "aortic_stenosis",
    "aortic_regurgitation",
    "mitral_regurgitation",
    "tricuspid_regurgitation",
    "effusion",
)
_BY_RATIO = ("lvedv_ml", "lvesv_ml", "la_volume_index", "pasp_mmhg")
_ARTERIES = ("LAD", "RCA", "LCx")
RATE_AND_RHYTHM = 2
"""How many facts, the last ones, are of these; every other is of the heart's build and motion."""


def read_truth(cohort_dir: Path) -> pd.DataFrame | None:
    """By record, which is an ecg_id or a study_id; None where the cohort says nothing of it."""
    path = cohort_dir / _FILE
    if not path.exists():
        return None
    truth = pd.read_csv(path, dtype={"record": str, "infarct": str, "site": str, "rhythm": str}, keep_default_na=False)
    return truth.set_index("record")


def facts_of(truth: pd.DataFrame | None, records: pd.Series) -> NDArray[np.float64] | None:
    """What an echo could tell at best, a row for each record: measurements, territories, rate and rhythm (E, F).

    Volumes and pressures by their logarithm, as they differ by ratios. None where the truth is not known.
    """
    wanted = {*_PLAIN, *_BY_RATIO, "infarct", "heart_rate_bpm", "rhythm"}
    if truth is None or not wanted <= set(truth.columns) or not records.isin(truth.index).all():
        return None
    found = truth.loc[records]
    columns = [found[name].to_numpy(np.float64) for name in _PLAIN]
    columns += [np.log(found[name].to_numpy(np.float64)) for name in _BY_RATIO]
    columns += [(found["infarct"] == artery).to_numpy(np.float64) for artery in _ARTERIES]
    columns += [found["heart_rate_bpm"].to_numpy(np.float64), (found["rhythm"] != "sinus").to_numpy(np.float64)]
    return np.stack(columns, axis=1)
