"""A finished bundle on one split of a cohort: probes, calibration, few labels, retrieval, with how many and how sure.

Everything is computed by the bundle as it will serve. Letters: E ECGs, S studies, F features, D dimensions, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from cohorts import OpenCohort, open_cohort
from ground.disk import held_folder
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from models.bundle import Bundle, BundleManifest, read_manifest
from models.device import Machine
from training.evaluation.decisions import DecisionReport, decision_report
from training.evaluation.few_shot import FewShotCurve, few_shot_curves
from training.evaluation.lvef_error import LvefErrorReport, lvef_error_report
from training.evaluation.measured import Measured, measure
from training.evaluation.metrics import Estimate, ReportPart
from training.evaluation.other_encoders import EncoderReport, foreign_encoder, random_encoder, read_features
from training.evaluation.own_reports import OwnReport, own_reports
from training.evaluation.paired import ComparisonReport, compare
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
    beside: tuple[EncoderReport, ...] = ()
    """Other encoders in the same probes: one of random weights first."""
    against: ComparisonReport | None = None
    """None unless asked for."""
    lvef_error: LvefErrorReport | None = None
    """Of LVEF as a number; None of a bundle that gives none, and in reports of before there was any."""
    own: tuple[OwnReport, ...] = ()
    """Of the labels that whoever fitted the bundle added, measured or not."""

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

    def beside_rows(self) -> list[tuple[str, str, tuple[Estimate | None, ...]]]:
        """Question, probe, and its AUROC or R2 by this bundle and by each encoder beside it."""
        each: tuple[EvaluationReport | EncoderReport, ...] = (self, *self.beside)
        rows: list[tuple[str, str, tuple[Estimate | None, ...]]] = []
        for question, field in ((f"LVEF {self.lvef_lowest_class_range}", "lvef_lowest_class"), ("SHD", "shd")):
            for kind, probe in (("linear", "linear_probe"), ("kNN", "knn_probe")):
                scores = [getattr(getattr(one, probe), field, None) for one in each]
                rows.append((question, kind, tuple(None if found is None else found.auroc for found in scores)))
        for number, phenotype in enumerate(self.phenotypes):
            found = [one.phenotypes[number].linear for one in each]
            rows.append((phenotype.phenotype, "regression", tuple(None if f is None else f.r2 for f in found)))
        return [row for row in rows if any(row[2])]

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
        if (error := self.lvef_error) is not None:
            found["LVEF as a number, mean absolute error in percentage points"] = error.mean_absolute_error
            if error.mean_predictor_error is not None:
                found["the same, always saying the mean"] = error.mean_predictor_error
        without_own = self.retrieval_of("lvef_percent", own_patient_excluded=True)
        if without_own is not None:
            found["precision@10, study of like LVEF, own patient excluded"] = without_own.ecg_to_study.precision_at_10
            found["the same over random ranking"] = without_own.ecg_to_study.lift_at_10
        return found

    def own_headline(self, named: Callable[[str], str]) -> dict[str, Estimate]:
        """The same of the labels that whoever fitted the bundle added, each called as `named` has it."""
        found = {f"AUROC, {named(one.label)}": one.yes_no.auroc for one in self.own if one.yes_no is not None}
        for one in self.own:
            if one.number is not None:
                found |= {f"R2, {named(one.label)}": one.number.r2}
                found |= {f"mean absolute error, {named(one.label)}": one.number.mean_absolute_error}
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
    against: Path | None = None,
    features: Path | None = None,
) -> EvaluationReport:
    """Measures a bundle on the patients of `split`; probes that are not the bundle's learn from the train patients.

    Their regularisation is chosen on the val patients, or on the calibration patients where val is measured.

    `work` keeps prepared ECGs and view vectors for another time; without it they go to a temporary folder.
    `window_days` pairs ECGs with studies of a cohort that is not open yet; None takes what the bundle was trained with,
    or 7. `with_map` adds the map of the shared space, for plots. `against` is another bundle, compared on the very same
    patients. `features` is a file of another encoder's features (`read_features`), put through the same probes.
    What cannot be measured, for want of labels or of a part of the bundle, is told with its reason and keeps nothing
    else from being measured. Raises BundleError, CohortError, or a Refusal for the train split, for one of whose ECGs
    none can be used, and for a map where what lays it out is not installed.
    """
    if split == "train":
        raise Refusal(
            "split_not_measured",
            "the train patients cannot be measured: their ECGs would be their own nearest neighbours",
        )
    foreign = None if features is None else read_features(features)  # refused before the work
    if with_map and not read_manifest(bundle_dir)[0].lacks("retrieval"):
        require_umap()
    bundle, lacking = _loaded(bundle_dir, machine)
    if isinstance(cohort, Path):
        cohort = open_cohort(cohort, trained_window_days(bundle.manifest) if window_days is None else window_days)
    simulated = cohort.about.is_simulated  # before the work: what the cohort says of itself may be no JSON
    with ExitStack() as stack:
        folder = work or stack.enter_context(held_folder("echo2ecg-evaluate-"))
        found = measure(bundle, lacking, cohort, split, folder, machine)
        other = None if against is None else measure(*_loaded(against, machine), cohort, split, folder, machine)
        beside = [random_encoder(found)]
    if features is not None and foreign is not None:
        beside.append(foreign_encoder(found, features.name, foreign))
    test, known, classes, questions = found.test, found.known, found.classes, found.questions()
    probes = found.bundle.probes
    number = None if probes is None or probes.lvef is None else probes.lvef.number
    lvef_error = lvef_error_report(known, test, number)
    return EvaluationReport(
        bundle_id=bundle.id,
        split=split,
        simulated_cohort=simulated,
        patients=found.rows["patient_id"].nunique(),
        ecgs=found.rows["ecg_id"].nunique(),
        studies=found.pairs["study_id"].nunique(),
        skipped_ecgs=found.skipped_ecgs,
        skipped_clips=found.skipped_clips,
        lvef_lowest_class_range=classes.ranges[0],
        linear_probe_from="train patients" if test.lvef_EC is None and test.shd_E is None else "bundle",
        linear_probe=probe_report(test, classes, found.linear),
        knn_probe=None if known is None else knn_probe_report(known, test, classes),
        flags=flag_reports(known, test, found.flags),
        phenotypes=phenotype_reports(known, test),
        few_shot=few_shot_curves(known, test, classes),
        retrieval=() if lacking or not found.studies else _retrieval(found, cohort.labels),
        map=_map(found, cohort.labels) if with_map and not lacking and found.studies else None,
        not_measured=_not_measured(found, cohort.labels)
        | lacking_groups(cohort)
        | ({"LVEF as a number": lvef_error} if isinstance(lvef_error, str) else {}),
        decisions=tuple(decision_report(question, test.patient_E) for question in questions),
        subgroups=subgroup_reports(questions, test.patient_E, ecg_groups(cohort, found.rows)),
        beside=tuple(beside),
        against=None if other is None else compare(found, other, cohort.labels),
        lvef_error=None if isinstance(lvef_error, str) else lvef_error,
        own=own_reports(found),
    )


def _loaded(bundle_dir: Path, machine: Machine) -> tuple[Bundle, tuple[str, ...]]:
    """A bundle, without its echo part where it cannot retrieve, and what it lacks for that."""
    lacking = read_manifest(bundle_dir)[0].lacks("retrieval")
    return Bundle.load(bundle_dir, device=str(machine.device), parts=("ecg",) if lacking else ("ecg", "echo")), lacking


def _retrieval(found: Measured, labels: pd.DataFrame) -> tuple[RetrievalReport, ...]:
    return retrieval_reports(found.pairs, labels, found.ecg_embeddings, found.studies)


def _map(found: Measured, labels: pd.DataFrame) -> SharedMap | None:
    assert found.test.embeddings_ED is not None
    return shared_map(
        found.test.embeddings_ED,
        found.test.truth("lvef_percent"),
        np.stack(list(found.studies.values())),
        labels.loc[list(found.studies), "lvef_percent"].to_numpy(dtype=np.float64),
    )


def _not_measured(found: Measured, labels: pd.DataFrame) -> dict[str, str]:
    """By what is missing as a whole, why."""
    reasons = {}
    if found.known is None:
        reason = "nearest neighbours and few labels need ECGs of the train patients, and none can be used"
        reasons = dict.fromkeys(("knn_probe", "few_shot"), reason)
    if found.lacking:
        reasons["retrieval"] = f"retrieval needs both towers, and this bundle has no {' and no '.join(found.lacking)}"
        return reasons
    if found.pairs.empty:
        return reasons | {"retrieval": f"retrieval needs studies, and the {found.test.split} patients have none"}
    if not found.studies:
        return reasons | {"retrieval": "retrieval needs echo views, and the cohort has none"}
    for phenotype, known_of in labels.loc[list(found.studies), list(PHENOTYPES)].notna().sum().items():
        if known_of < 2:
            needs = f"retrieval of studies of like {phenotype} needs two that have it"
            reasons[f"retrieval of {phenotype}"] = f"{needs}, and the {found.test.split} patients have {known_of}"
    return reasons


def trained_window_days(manifest: BundleManifest) -> float:
    """How far an ECG and a study may lie apart, as a bundle was trained; 7 where it does not say."""
    window_days = manifest.training_data.get("window_days", 7.0)
    return float(window_days) if isinstance(window_days, int | float) else 7.0
