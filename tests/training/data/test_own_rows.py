"""Labels of the user's own beside ECGs and studies, whatever they are called."""

from types import SimpleNamespace

import pandas as pd
import pytest

from cohorts.own_labels import OwnLabel
from training.data.own_rows import ecg_rows, labels_of_ecgs, labels_with_own


@pytest.mark.parametrize("name", ["self", "index", "name", "level_0", "key", "0", "None", "values", "kwargs", "a b"])
def test_a_label_may_have_any_name(name):
    pairs = pd.DataFrame({"patient_id": ["p"], "ecg_id": ["e"], "study_id": ["s"], "days_apart": [0.0]})
    ecgs = pd.DataFrame({"patient_id": ["p", "p"], "ecg_id": ["e", "alone"]})
    tables = SimpleNamespace(ecgs=ecgs, patients=lambda split: {"p"})
    labels = pd.DataFrame({"lvef_percent": [50.0]}, index=["s"])
    cohort = SimpleNamespace(tables=tables, labels=labels, split=lambda split: pairs)
    of_studies = OwnLabel(name, "number", "studies", pd.Series([3.0], index=["s"]))
    known = labels_with_own(cohort, [of_studies])
    assert labels_of_ecgs(ecg_rows(cohort, "train", [of_studies]), known)[name].tolist() == [3.0]
    of_ecgs = OwnLabel(name, "number", "ecgs", pd.Series([1.0, 2.0], index=["e", "alone"]))
    found = labels_of_ecgs(ecg_rows(cohort, "train", [of_ecgs]), labels_with_own(cohort, [of_ecgs]))
    assert found[name].to_dict() == {"e": 1.0, "alone": 2.0}
