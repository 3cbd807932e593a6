"""What all arms of a comparison share: one frozen echo encoder, prepared ECGs, view vectors and labels, by split.

Letters: P pairs, E ECGs, S studies, L leads, N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import Cohort, CohortError, OpenCohort, ecg_labels, open_checked_cohort
from embedding.prepared import clip_store_name
from embedding.store import ArrayStore
from ground.findings import LV_PHENOTYPES, SHD_FLAGS
from models.bundle import Bundle, BundleDraft
from models.device import Machine
from models.labels import LabelDefinitions, LvefClasses
from training.data.batches import PairedArrays
from training.data.cohort_arrays import (
    Arrays,
    prepared_signals,
    study_views,
    to_arrays,
    usable_pairs,
)
from training.encoders.echo import train_echo_encoder
from training.engine.place import Place
from training.objectives.supervised import UNKNOWN, LabelledEcgs
from training.recipes import Recipe

SPLITS_OF_GROUP = {"train": ("train",), "val": ("val", "calibration"), "test": ("test",)}
"""Nothing is calibrated in a comparison, so the patients for it help to choose epochs and probes."""


@dataclass(frozen=True)
class PatientGroup:
    """The patients of one purpose: pairs, and the labels of every ECG and of every study in `pairs`."""

    pairs: PairedArrays
    ecgs: LabelledEcgs
    phenotypes_SP: NDArray[np.float64]
    """LV_PHENOTYPES of each study; NaN where unknown."""

    @property
    def patients(self) -> int:
        return len(np.unique(self.pairs.patient_P))


@dataclass(frozen=True)
class ComparisonData:
    train: PatientGroup
    val: PatientGroup
    test: PatientGroup


def comparison_data(cohort_dir: Path, recipe: Recipe, work: Path, machine: Machine) -> ComparisonData:
    """Everything that is made once for all arms and seeds; `work` keeps it, finished or not.

    CohortError for a cohort that contradicts itself or does not show every class in every group.
    """
    opened = open_for_comparison(cohort_dir, recipe)
    cohort, labels, pairs = opened.tables, opened.labels, opened.pairs
    signals, _ = prepared_signals(cohort, pairs["ecg_id"], recipe.ecg, work, machine)
    with ArrayStore(work / clip_store_name(recipe.echo), np.uint8) as decoded:
        place = Place(work / "echo")
        echo_dir = train_echo_encoder(cohort, recipe, decoded, place, _draft(recipe), machine)
        echo_bundle = Bundle.load(echo_dir, device=str(machine.device), parts=("echo",))
        views, _ = study_views(echo_bundle, cohort, pairs["study_id"], work, machine, decoded=decoded)
    usable = usable_pairs(pairs, signals, views)
    groups = {
        name: _group(name, usable[usable["patient_id"].isin(_patients(cohort, name))], labels, signals, views, recipe)
        for name in SPLITS_OF_GROUP
    }
    return ComparisonData(**groups)


def open_for_comparison(cohort_dir: Path, recipe: Recipe) -> OpenCohort:
    """A cohort that all arms can be trained and measured on, by its tables. CohortError says what it lacks."""
    opened = open_checked_cohort(cohort_dir, recipe.window_days)
    with_views = opened.pairs[opened.pairs["study_id"].isin(opened.tables.echos["study_id"])]
    for group in SPLITS_OF_GROUP:
        pairs = with_views[with_views["patient_id"].isin(_patients(opened.tables, group))]
        if pairs["patient_id"].nunique() < 2:
            sentence = (
                f"The comparison needs ECGs with echo clips within {recipe.window_days:g} days, and fewer than two "
                f"{group} patients have them."
            )
            raise CohortError("comparison_lacks", sentence)
        found = ecg_labels(pairs, opened.labels)
        _check_shown(group, _lvef_classes(found["lvef_percent"].to_numpy(), recipe.lvef_classes), found["shd"], recipe)
    return opened


def _check_shown(name: str, lvef_class_E: NDArray[np.int64], shd_E: pd.Series, recipe: Recipe) -> None:
    if missing := set(range(len(recipe.lvef_classes.labels))) - set(lvef_class_E.tolist()):
        lacking = ", ".join(recipe.lvef_classes.labels[c] for c in sorted(missing))
        raise CohortError("labels_missing", f"No {name} patient has an LVEF that is {lacking}; more are needed.")
    known = set(shd_E.dropna().tolist())
    if not {0, 1} <= known:
        said = "nobody is known to have SHD or not" if not known else f"all have {'SHD' if 1 in known else 'no SHD'}"
        sentence = f"Of the {name} patients {said}; some with and some without are needed."
        raise CohortError("labels_missing", sentence)


def _patients(cohort: Cohort, group: str) -> frozenset[str]:
    return frozenset[str]().union(*(cohort.patients(split) for split in SPLITS_OF_GROUP[group]))


def _group(
    name: str, pairs: pd.DataFrame, labels: pd.DataFrame, signals: Arrays, views: Arrays, recipe: Recipe
) -> PatientGroup:
    arrays = to_arrays(pairs, signals, views)
    by_ecg = ecg_labels(pairs, labels).loc[pairs["ecg_id"].unique()]
    lvef_class_E = _lvef_classes(by_ecg["lvef_percent"].to_numpy(), recipe.lvef_classes)
    shd_E = by_ecg["shd"].fillna(UNKNOWN).to_numpy(np.int64)
    _check_shown(name, lvef_class_E, by_ecg["shd"], recipe)
    return PatientGroup(
        arrays,
        LabelledEcgs(arrays.signals_LN, pd.factorize(by_ecg["patient_id"])[0].astype(np.int64), lvef_class_E, shd_E),
        labels.loc[pairs["study_id"].unique(), list(LV_PHENOTYPES)].to_numpy(np.float64),
    )


def _lvef_classes(lvef_percent_E: NDArray[np.float64], classes: LvefClasses) -> NDArray[np.int64]:
    known_E = np.isfinite(lvef_percent_E)
    class_E = np.full(len(known_E), UNKNOWN, np.int64)
    class_E[known_E] = classes.class_of(lvef_percent_E[known_E])
    return class_E


def _draft(recipe: Recipe) -> BundleDraft:
    return BundleDraft(
        id=f"{recipe.name}-echo",
        created=datetime.now(UTC),
        code_version=version("echo2ecg"),
        seeds={"training": recipe.seed},
        architecture=recipe.architecture,
        ecg=recipe.ecg,
        echo=recipe.echo,
        labels=LabelDefinitions(lvef=recipe.lvef_classes, shd_flags=SHD_FLAGS),
        metrics={},
        training_data={},
    )
