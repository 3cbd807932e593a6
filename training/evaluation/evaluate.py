"""A finished bundle on one split of a cohort: probes, calibration, few labels, retrieval, with how many and how sure.

Everything is computed by the bundle as it will serve. Letters: E ECGs, S studies, F features, D dimensions, C classes.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from cohorts import OpenCohort, open_cohort
from ground.disk import held_folder
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from models.bundle import Bundle, read_manifest
from models.device import Machine
from training.data.cohort_arrays import (
    Arrays,
    clip_sources,
    prepared_signals,
    study_views,
    usable_pairs,
)
from training.data.embedded import EmbeddedEcgs, embed_ecgs
from training.evaluation.answers import bundle_answers, fitted_answers, flag_answers, yes_no_answers
from training.evaluation.decisions import DecisionReport, decision_report
from training.evaluation.few_shot import FewShotCurve, few_shot_curves
from training.evaluation.metrics import Estimate, ReportPart
from training.evaluation.probe_reports import (
    FlagReport,
    PhenotypeReport,
    ProbeReport,
    flag_reports,
    knn_probe_report,
    phenotype_reports,
    probe_report,
)
from training.evaluation.retrieval_report import PHENOTYPES, RetrievalReport, retrieval_reports
from training.evaluation.shared_map import SharedMap, require_umap, shared_map
from training.evaluation.subgroups import SubgroupReport, ecg_groups, lacking_groups, subgroup_reports


class EvaluationReport(ReportPart):
    """Intervals are 95 % percentile bootstraps over patients."""

    bundle_id: str
    split: str
    simulated_cohort: bool
    """Does the cohort say that a simulator invented it?"""
    patients: int
    ecgs: int
    studies: int
    skipped_ecgs: dict[str, int]
    skipped_clips: dict[str, int]
    lvef_lowest_class_range: str
    linear_probe_from: Literal["bundle", "train patients"]
    """Whose linear probe of LVEF and SHD this is: one that is fitted here serves where the bundle has none."""
    linear_probe: ProbeReport
    knn_probe: ProbeReport | None
    """None where no train patient's ECG can be used."""
    flags: tuple[FlagReport, ...]
    phenotypes: tuple[PhenotypeReport, ...]
    few_shot: tuple[FewShotCurve, ...]
    """Empty where no train patient's ECG can be used."""
    retrieval: tuple[RetrievalReport, ...]
    map: SharedMap | None = None
    """None unless asked for."""
    not_measured: dict[str, str] = Field(default_factory=dict)
    """Why what is named is missing as a whole; what is missing within a part is told there."""
    decisions: tuple[DecisionReport, ...] = ()
    """Of the linear probe: the lowest LVEF class, SHD, each flag. Empty in reports of before there were any."""
    subgroups: tuple[SubgroupReport, ...] = ()
    """Of the same questions, by sex, age, rhythm, site and device, as far as the cohort knows them."""

    @property
    def overall_decisions(self) -> tuple[DecisionReport, ...]:
        """Those of the lowest LVEF class and of SHD."""
        return tuple(found for found in self.decisions if found.question not in SHD_FLAGS)

    @property
    def has_bounds(self) -> bool:
        """Whether retrieval has the ideal ranking and the hubs beside it."""
        return any(found.ecg_to_study.ideal_precision is not None for found in self.retrieval)

    @property
    def overall_subgroups(self) -> tuple[SubgroupReport, ...]:
        """Those of the lowest LVEF class and of SHD."""
        return tuple(found for found in self.subgroups if found.question not in SHD_FLAGS)

    def headline(self) -> dict[str, Estimate]:
        """The numbers that a person asks for first, as far as they were measured."""
        probe, found = self.linear_probe, {}
        for name, scores in (
            (f"AUROC, LVEF {self.lvef_lowest_class_range}", probe.lvef_lowest_class),
            ("AUROC, SHD", probe.shd),
            ("AUROC, LVEF classes (mean)", probe.lvef_classes),
        ):
            if scores is not None:
                found[name] = scores.auroc
        without_own = self.retrieval_of("lvef_percent", own_patient_excluded=True)
        if without_own is not None:
            found["precision@10, study of like LVEF, own patient excluded"] = without_own.ecg_to_study.precision_at_10
            found["the same over random ranking"] = without_own.ecg_to_study.lift_at_10
        return found

    def summary(self) -> str:
        """The headline in a few lines."""
        rows = [f"{self.split}: {self.patients} patients, {self.ecgs} ECGs, {self.studies} studies"]
        return "\n".join(rows + [f"{name}: {estimate}" for name, estimate in self.headline().items()])

    def retrieval_of(self, relevant: str, *, own_patient_excluded: bool) -> RetrievalReport | None:
        same = (r for r in self.retrieval if (r.relevant, r.own_patient_excluded) == (relevant, own_patient_excluded))
        return next(same, None)

    def missing(self) -> list[str]:
        """Why LVEF, SHD or retrieval has no scores, a clause for each reason; flags and phenotypes tell theirs."""
        probes = (self.linear_probe, self.knn_probe)
        reasons = [reason for probe in probes if probe is not None for reason in probe.not_measured.values()]
        return list(dict.fromkeys([*reasons, *self.not_measured.values()]))


def evaluate(
    bundle_dir: Path,
    cohort: Path | OpenCohort,
    split: str,
    machine: Machine,
    *,
    work: Path | None = None,
    window_days: float | None = None,
    with_map: bool = False,
) -> EvaluationReport:
    """Measures a bundle on the patients of `split`; probes that are not the bundle's learn from the train patients.

    Their regularisation is chosen on the val patients, or on the calibration patients where val is measured.

    `work` keeps prepared ECGs and view vectors for another time; without it they go to a temporary folder.
    `window_days` pairs ECGs with studies of a cohort that is not open yet; None takes what the bundle was trained with,
    or 7. `with_map` adds the map of the shared space, for plots.
    What cannot be measured, for want of labels or of a part of the bundle, is told with its reason and keeps nothing
    else from being measured. Raises BundleError, CohortError, or a Refusal for the train split, for one of whose ECGs
    none can be used, and for a map where what lays it out is not installed.
    """
    if split == "train":
        raise Refusal(
            "split_not_measured",
            "the train patients cannot be measured: their ECGs would be their own nearest neighbours",
        )
    lacking = read_manifest(bundle_dir)[0].lacks("retrieval")
    if with_map and not lacking:
        require_umap()
    bundle = Bundle.load(bundle_dir, device=str(machine.device), parts=("ecg",) if lacking else ("ecg", "echo"))
    if isinstance(cohort, Path):
        cohort = open_cohort(cohort, _trained_window_days(bundle) if window_days is None else window_days)
    simulated = cohort.about.is_simulated  # before the work: what the cohort says of itself may be no JSON
    with ExitStack() as stack:
        folder = work or stack.enter_context(held_folder("echo2ecg-evaluate-"))
        found = _embedded(bundle, cohort, split, folder, machine)
    test, known, choosing = found.test, found.known, found.choosing
    classes = bundle.manifest.labels.lvef
    served = None if test.lvef_EC is None else bundle.probes
    if served is None:
        linear = fitted_answers(known, choosing, test, classes)
    else:
        linear = bundle_answers(test, served.shd.threshold)
    flags = flag_answers(known, choosing, test, SHD_FLAGS)
    questions = yes_no_answers(test, classes, linear, flags)
    return EvaluationReport(
        bundle_id=bundle.id,
        split=split,
        simulated_cohort=simulated,
        patients=found.pairs["patient_id"].nunique(),
        ecgs=found.pairs["ecg_id"].nunique(),
        studies=found.pairs["study_id"].nunique(),
        skipped_ecgs=found.skipped_ecgs,
        skipped_clips=found.skipped_clips,
        lvef_lowest_class_range=classes.ranges[0],
        linear_probe_from="train patients" if served is None else "bundle",
        linear_probe=probe_report(test, classes, linear),
        knn_probe=None if known is None else knn_probe_report(known, test, classes),
        flags=flag_reports(known, test, flags),
        phenotypes=phenotype_reports(known, test),
        few_shot=few_shot_curves(known, test, classes),
        retrieval=() if lacking else _retrieval(found, cohort.labels),
        map=_map(found, cohort.labels) if with_map and not lacking else None,
        not_measured=_not_measured(found, lacking, cohort.labels) | lacking_groups(cohort),
        decisions=tuple(decision_report(question, test.patient_E) for question in questions),
        subgroups=subgroup_reports(questions, test.patient_E, ecg_groups(cohort, found.pairs)),
    )


@dataclass(frozen=True)
class _Embedded:
    """What is measured: the usable pairs of a split, and everybody's vectors as the bundle gives them."""

    pairs: pd.DataFrame
    test: EmbeddedEcgs
    known: EmbeddedEcgs | None
    """Of the train patients; None where no ECG of theirs can be used."""
    choosing: EmbeddedEcgs | None
    """Of the patients who choose how strongly probes are regularised."""
    studies: Arrays
    """Unit embeddings (D,) by study_id; empty without retrieval."""
    skipped_ecgs: dict[str, int]
    skipped_clips: dict[str, int]


def _embedded(bundle: Bundle, cohort: OpenCohort, split: str, folder: Path, machine: Machine) -> _Embedded:
    tables, labels = cohort.tables, cohort.labels
    tested, neighbours = cohort.split(split), cohort.split("train")
    # Whoever is measured cannot also choose how strongly probes are regularised.
    chooser = "calibration" if split == "val" else "val"
    choosing = cohort.split(chooser)
    ecg_ids = pd.concat([tested["ecg_id"], neighbours["ecg_id"], choosing["ecg_id"]])
    signals, ecgs = prepared_signals(tables, ecg_ids, bundle.manifest.ecg, folder, machine)
    views: Arrays = {}
    skipped_clips: dict[str, str] = {}
    if bundle.manifest.gives("retrieval"):
        views, skipped_clips = study_views(bundle, tables, clip_sources(tables, tested["study_id"]), folder, machine)
        tested = usable_pairs(tested, signals, views)
    else:
        tested = _readable(tested, signals)
    if tested.empty:
        raise Refusal("nothing_to_measure", f"no pair of an ECG and a study of the {split} patients can be used")
    of_train, of_choosers = (
        embed_ecgs(bundle, readable, labels, signals, split=name) if len(readable) else None
        for name, readable in (("train", _readable(neighbours, signals)), (chooser, _readable(choosing, signals)))
    )
    return _Embedded(
        pairs=tested,
        test=embed_ecgs(bundle, tested, labels, signals, split=split),
        known=of_train,
        choosing=of_choosers,
        studies={name: bundle.pool_study(views[name]).embedding_D for name in tested["study_id"].unique() if views},
        skipped_ecgs=ecgs.reasons(),
        skipped_clips=dict(Counter(skipped_clips.values())),
    )


def _retrieval(found: _Embedded, labels: pd.DataFrame) -> tuple[RetrievalReport, ...]:
    assert found.test.embeddings_ED is not None
    ecg_embeddings = dict(zip(found.test.labels.index, found.test.embeddings_ED, strict=True))
    return retrieval_reports(found.pairs, labels, ecg_embeddings, found.studies)


def _map(found: _Embedded, labels: pd.DataFrame) -> SharedMap | None:
    assert found.test.embeddings_ED is not None
    return shared_map(
        found.test.embeddings_ED,
        found.test.truth("lvef_percent"),
        np.stack(list(found.studies.values())),
        labels.loc[list(found.studies), "lvef_percent"].to_numpy(dtype=np.float64),
    )


def _not_measured(found: _Embedded, lacking: tuple[str, ...], labels: pd.DataFrame) -> dict[str, str]:
    """By what is missing as a whole, why."""
    reasons = {}
    if found.known is None:
        reason = "nearest neighbours and few labels need ECGs of the train patients, and none can be used"
        reasons = dict.fromkeys(("knn_probe", "few_shot"), reason)
    if lacking:
        reasons["retrieval"] = f"retrieval needs both towers, and this bundle has no {' and no '.join(lacking)}"
        return reasons
    for phenotype, known_of in labels.loc[list(found.studies), list(PHENOTYPES)].notna().sum().items():
        if known_of < 2:
            needs = f"retrieval of studies of like {phenotype} needs two that have it"
            reasons[f"retrieval of {phenotype}"] = f"{needs}, and the {found.test.split} patients have {known_of}"
    return reasons


def _readable(pairs: pd.DataFrame, signals: Arrays) -> pd.DataFrame:
    return pairs[pairs["ecg_id"].isin(list(signals))].reset_index(drop=True)


def _trained_window_days(bundle: Bundle) -> float:
    window_days = bundle.manifest.training_data.get("window_days", 7.0)
    return float(window_days) if isinstance(window_days, int | float) else 7.0
