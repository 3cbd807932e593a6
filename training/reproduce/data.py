"""What all arms of a comparison share: one frozen echo encoder, prepared ECGs, view vectors and labels, by split.

Letters: P pairs, E ECGs, S studies, V views of a study, Q questions, F facts, L leads, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts import Cohort, CohortError, OpenCohort, ecg_labels, open_checked_cohort
from embedding.prepared import clip_store_name
from embedding.store import ArrayStore
from ground.findings import MEASUREMENTS, SHD_FLAGS
from models.bundle import Bundle, BundleDraft
from models.device import Machine
from models.labels import LabelDefinitions, LvefClasses
from training.data.batches import PairedArrays
from training.data.cohort_arrays import (
    Arrays,
    clip_views,
    prepared_signals,
    to_arrays,
    usable_pairs,
)
from training.data.own_rows import labels_of_ecgs
from training.encoders.echo import train_echo_encoder
from training.engine.place import Place
from training.evaluation.subgroups import UNKNOWN as UNKNOWN_GROUP
from training.evaluation.subgroups import ecg_groups
from training.objectives.supervised import UNKNOWN, LabelledEcgs
from training.recipes import Recipe
from training.reproduce.endpoints import PHENOTYPES, QUESTIONS, Question
from training.reproduce.sizes import Split
from training.reproduce.truth import facts_of, read_truth

_LARGE_LA = 34.0
"""ml/m2; above it a left atrium is enlarged (ASE and EACVI, 2015)."""
SPLITS_OF_GROUP = {"train": ("train",), "val": ("val", "calibration"), "test": ("test",)}
"""Nothing is calibrated in a comparison, so the patients for it help to choose epochs and probes."""


@dataclass(frozen=True)
class PatientGroup:
    """The patients of one purpose: pairs, and what is known of every ECG and of every study in `pairs`."""

    pairs: PairedArrays
    ecgs: LabelledEcgs
    phenotypes_SP: NDArray[np.float64]
    """PHENOTYPES of each study; NaN where unknown."""
    view_names_V: Sequence[NDArray[np.str_]]
    """Of each study the names of its views, in the order of its vectors; empty where unknown."""
    answers_EQ: NDArray[np.float64]
    """QUESTIONS of each ECG's nearest study: 1 yes, 0 no, NaN unknown."""
    groups: pd.DataFrame
    """Of each ECG `sex`, `age` and, where somebody says so, `rhythm`, `site` and `device`."""
    facts_SF: NDArray[np.float64] | None = None
    """What an echo could tell of each study at best; None where the truth is not known."""

    @property
    def patients(self) -> int:
        return len(np.unique(self.pairs.patient_P))

    def group_E(self, column: str) -> NDArray[np.str_]:
        """CohortError where nobody says which ECG belongs to which."""
        if column not in self.groups:
            raise CohortError("groups_missing", f"An arm needs to know the {column} of every ECG, and nobody says it.")
        return self.groups[column].to_numpy(np.str_)

    def only(self, keep_E: NDArray[np.bool_]) -> PatientGroup:
        """The ECGs that are kept, the studies paired with them, and their patients under their old numbers.

        CohortError where fewer than two patients would be left.
        """
        pairs, ecgs = self.pairs, self.ecgs
        keep_P = keep_E[pairs.ecg_P]
        if len(np.unique(pairs.patient_P[keep_P])) < 2:
            raise CohortError("groups_missing", "Fewer than two patients are left to train or to choose on.")
        kept_E, kept_S = np.flatnonzero(keep_E), np.unique(pairs.study_P[keep_P])
        signals_LN = [ecgs.signals_LN[int(ecg)] for ecg in kept_E]
        left = PairedArrays(
            signals_LN,
            [pairs.views_VD[int(study)] for study in kept_S],
            np.searchsorted(kept_E, pairs.ecg_P[keep_P]),
            np.searchsorted(kept_S, pairs.study_P[keep_P]),
            pairs.patient_P[keep_P],
        )
        return PatientGroup(
            left,
            LabelledEcgs(signals_LN, ecgs.patient_E[kept_E], ecgs.lvef_class_E[kept_E], ecgs.shd_E[kept_E]),
            self.phenotypes_SP[kept_S],
            [self.view_names_V[int(study)] for study in kept_S],
            self.answers_EQ[kept_E],
            self.groups.iloc[kept_E],
            None if self.facts_SF is None else self.facts_SF[kept_S],
        )


@dataclass(frozen=True)
class ComparisonData:
    train: PatientGroup
    val: PatientGroup
    test: PatientGroup


@dataclass(frozen=True)
class _Known:
    """What the groups are made of: by study_id the labels, the vectors and names of views; by record the truth."""

    labels: pd.DataFrame
    signals: Arrays
    views: Arrays
    view_names: Mapping[str, NDArray[np.str_]]
    truth: pd.DataFrame | None


def comparison_data(
    cohort_dir: Path, recipe: Recipe, work: Path, machine: Machine, split: Split | None = None
) -> ComparisonData:
    """Everything that is made once for all arms and seeds; `work` keeps it, finished or not.

    Two recipes that differ in what teaches the echo encoder share all but the encoder and its vectors.
    CohortError for a cohort that contradicts itself or does not show every class in every group.
    """
    opened = open_for_comparison(cohort_dir, recipe, split)
    cohort, pairs = opened.tables, opened.pairs
    signals, _ = prepared_signals(cohort, pairs["ecg_id"], recipe.ecg, work, machine)
    with ArrayStore(work / clip_store_name(recipe.echo), np.uint8) as decoded:
        echo_dir = shared_echo_encoder(cohort, recipe, work, decoded, machine)
        echo_bundle = Bundle.load(echo_dir, device=str(machine.device), parts=("echo",))
        vectors, _ = clip_views(echo_bundle, cohort, pairs["study_id"], work, machine, decoded=decoded)
    clips = cohort.echos.loc[[*vectors]]
    view_of = clips["view"] if "view" in clips else pd.Series("", clips.index)
    rows_of = clips.groupby("study_id", sort=False).groups
    known = _Known(
        study_facts(opened),
        signals,
        {str(study): np.stack([vectors[row] for row in rows]) for study, rows in rows_of.items()},
        {str(study): view_of.loc[rows].to_numpy(np.str_) for study, rows in rows_of.items()},
        read_truth(cohort_dir),
    )
    usable = usable_pairs(pairs, signals, known.views)
    groups = {
        name: _group(name, usable[usable["patient_id"].isin(_patients(cohort, name))], opened, known, recipe)
        for name in SPLITS_OF_GROUP
    }
    return ComparisonData(**groups)


def shared_echo_encoder(cohort: Cohort, recipe: Recipe, work: Path, decoded: ArrayStore, machine: Machine) -> Path:
    """The bundle in `work` of the echo encoder of all arms that are taught alike; trained where it is not there yet."""
    assert recipe.echo_pretraining is not None
    place = Place(work / f"echo-{recipe.echo_pretraining.taught_by}")
    return train_echo_encoder(cohort, recipe, decoded, place, _draft(recipe), machine)


def study_facts(opened: OpenCohort) -> pd.DataFrame:
    """By study_id: `OpenCohort.labels` and the measurements, NaN where unknown."""
    measured = opened.tables.studies.set_index("study_id").reindex(columns=list(MEASUREMENTS)).astype(np.float64)
    return opened.labels.join(measured)


def open_for_comparison(cohort_dir: Path, recipe: Recipe, split: Split | None = None) -> OpenCohort:
    """A cohort that all arms can be trained and measured on, by its tables; its patients divided by `split`, if given.

    CohortError says what it lacks.
    """
    opened = open_checked_cohort(cohort_dir, recipe.window_days)
    if split is not None:
        tables = replace(opened.tables, splits=split.of(opened.tables.splits["patient_id"]))
        opened = replace(opened, tables=tables)
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


def _group(name: str, pairs: pd.DataFrame, opened: OpenCohort, known: _Known, recipe: Recipe) -> PatientGroup:
    arrays = to_arrays(pairs, known.signals, known.views)
    ecg_ids, study_ids = pairs["ecg_id"].unique(), pairs["study_id"].unique()
    by_ecg = ecg_labels(pairs, known.labels).loc[ecg_ids]
    lvef_class_E = _lvef_classes(by_ecg["lvef_percent"].to_numpy(), recipe.lvef_classes)
    shd_E = by_ecg["shd"].fillna(UNKNOWN).to_numpy(np.int64)
    _check_shown(name, lvef_class_E, by_ecg["shd"], recipe)
    return PatientGroup(
        arrays,
        LabelledEcgs(arrays.signals_LN, pd.factorize(by_ecg["patient_id"])[0].astype(np.int64), lvef_class_E, shd_E),
        known.labels.loc[study_ids, list(PHENOTYPES)].to_numpy(np.float64),
        [known.view_names[study_id] for study_id in study_ids],
        _answers(by_ecg, known.truth),
        _groups(pairs, opened, known.truth).loc[ecg_ids],
        facts_of(known.truth, pd.Series(study_ids)),
    )


def _answers(by_ecg: pd.DataFrame, truth: pd.DataFrame | None) -> NDArray[np.float64]:
    """QUESTIONS of every ECG, in their order; who has an infarct of which artery only the truth says."""
    la = by_ecg["la_volume_index"]
    infarct = pd.Series(np.nan, by_ecg.index)
    if truth is not None and "infarct" in truth:
        infarct = (truth["infarct"].reindex(by_ecg.index) == "LAD").astype(np.float64)
    answers: dict[Question, pd.Series] = {
        "walls": by_ecg["lvwt_gte_13_flag"],
        "pasp": by_ecg["pasp_gte_45_flag"],
        "la": (la > _LARGE_LA).astype(np.float64).where(la.notna()),
        "lad": infarct,
    }
    return np.stack([answers[question].to_numpy(np.float64) for question in QUESTIONS], axis=1)


def _groups(pairs: pd.DataFrame, opened: OpenCohort, truth: pd.DataFrame | None) -> pd.DataFrame:
    """By ecg_id: see `PatientGroup.groups`. What the truth says stands in for columns that the cohort does not have."""
    groups = pd.DataFrame(ecg_groups(opened, pairs), index=labels_of_ecgs(pairs, opened.labels).index)
    for column in ("rhythm", "site"):
        if truth is not None and column in truth and column not in groups:
            groups[column] = truth[column].reindex(groups.index).fillna(UNKNOWN_GROUP)
    return groups


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
