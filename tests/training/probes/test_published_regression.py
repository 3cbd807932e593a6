"""The regression probe of the published evaluation, which is an ordinary linear regression."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data.embedded import EmbeddedEcgs
from training.evaluation.probe_reports import phenotype_reports

NUMBERS = np.load(Path(__file__).parents[1] / "data" / "published.npz")


def embedded(part):
    """The two published targets as two phenotypes, one ECG per patient."""
    targets = NUMBERS[f"probe_in_reg_{part}"].astype(np.float64)
    labels = pd.DataFrame({"patient_id": [str(i) for i in range(len(targets))], "lvef_percent": np.nan})
    labels[["lvedv_ml", "lvesv_ml"]] = targets
    return EmbeddedEcgs(labels, NUMBERS[f"probe_in_x_{part}"], np.empty((len(targets), 0), np.float32), None, None)


def test_regressed_phenotypes_have_the_published_errors_and_explained_variance():
    theirs = dict(zip(NUMBERS["probe_regression_metric_names"], NUMBERS["probe_regression_metric_values"], strict=True))
    _, *reports = phenotype_reports(embedded("train"), embedded("test"))
    assert np.mean([r.linear.mean_absolute_error.value for r in reports]) == pytest.approx(theirs["mae"], abs=1e-6)
    # Published R2 is adjusted, with the number of targets (2) standing where the number of features belongs.
    n = reports[0].linear.n
    adjusted = [1 - (1 - r.linear.r2.value) * (n - 1) / (n - 1 - len(reports)) for r in reports]
    assert adjusted == pytest.approx([theirs["r2_per_output[0]"], theirs["r2_per_output[1]"]], abs=1e-6)
    assert np.mean(adjusted) == pytest.approx(theirs["r2"], abs=1e-6)
