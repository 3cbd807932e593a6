"""Probes fitted afresh on a bundle's encoders, told from files to bundle."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from cohorts import SPLITS, CohortError, OpenCohort, open_checked_cohort
from cohorts.own_labels import KIND_WORDS, OwnLabel, read_own_labels
from embedding.given_views import check_views
from ground.disk import short_name_of
from ground.findings import SHD_FLAGS, short_flag_words
from ground.own_columns import own_columns, refuse_alike
from models.bundle import (
    Bundle,
    BundleDraft,
    BundleError,
    BundleManifest,
    make_self_test,
    read_ecg_tower,
    read_manifest,
    verify_bundle,
    write_with_probes,
)
from models.device import Machine
from models.labels import LabelDefinitions
from models.probes import PROBES_SCHEMA_VERSION, Probes
from training.data.cohort_arrays import prepare_ecgs
from training.data.own_rows import ecg_rows, labels_of_ecgs, labels_with_own
from training.evaluation.card import probe_metrics
from training.evaluation.evaluate import EvaluationReport, evaluate, trained_window_days
from training.evaluation.refit_card import card_of_source, refit_card
from training.outlook import check_patients
from training.plan import described_cohort, hashes_of, make_work, refuse_existing
from training.probes.data import fit_on_features
from training.probes.fit import LABEL_HINT, ProbeFit
from training.probes.fit_own import check_enough
from training.probes.labelled import Splits, labelled


def refit(
    bundle_dir: Path,
    cohort_dir: Path,
    out: Path,
    machine: Machine,
    *,
    labels: Sequence[str] = (),
    say: Callable[[str], None] = lambda sentence: None,
) -> Path:
    """Writes the bundle `out`: the encoders of `bundle_dir` byte for byte, probes of the cohort's patients.

    The train, val and calibration patients fit and calibrate, the test patients measure. `labels` are columns of the
    user's own in `ecgs` or `studies`; `say` is told what each was taken for, and what the cohort's labels do not allow
    and is left out. Prepared ECGs and view vectors are kept in `<out>.work` and found again by a later run. Returns
    `out`. Raises CohortError, BundleError or another Refusal that says what is wrong.
    """
    plan = plan_refit(bundle_dir, cohort_dir, out, labels)
    cohort, spec = plan.cohort, plan.manifest.ecg

    for one in plan.own:
        say(taken_for(one))

    # ECGs, read and prepared once. Test patients' files stay closed until the evaluation.
    ecgs = prepare_ecgs(cohort.tables, plan.rows, spec, plan.work, machine)

    # Probes on the features as they will be served, calibrated on patients who fitted nothing else.
    encoders = Bundle.load(bundle_dir, device=str(machine.device), parts=("ecg",))
    known = labels_with_own(cohort, plan.own)
    probes = fit_on_features(encoders, known, plan.rows, ecgs.signals, plan.manifest.labels.lvef, plan.own)
    for sentence in left_out_sentences(probes):
        say(sentence)

    # Measured on the test patients by the very bundle; then written with what was found.
    report = measure(plan, probes.probes, machine)
    about = plan.draft.training_data
    told = about["probes"]
    assert isinstance(told, dict)
    draft = plan.draft.model_copy(
        update={
            "metrics": plan.draft.metrics | probe_metrics(probes, report),
            "training_data": about
            | {"probes": told | {"skipped_ecgs": dict(ecgs.skipped), "left_out": dict(probes.left_out)}},
        }
    )
    card = refit_card(draft, report, probes, card_of_source(bundle_dir), cohort=cohort.root.name, out=out.name)
    self_test = make_self_test(draft, read_ecg_tower(bundle_dir, plan.manifest), probes.probes)
    write_with_probes(out, draft, bundle_dir, probes=probes.probes, self_test=self_test, card=card)
    return out


@dataclass(frozen=True)
class RefitPlan:
    """What a refit is decided by, before any work."""

    source: Path
    manifest: BundleManifest
    """Of the bundle that gives the encoders."""
    cohort: OpenCohort
    rows: Mapping[str, pd.DataFrame]
    """By split an ECG and a study of one patient within the window of the encoders' training, and ECGs without a study
    that have a label of the user's own: see `ecg_rows`."""
    own: tuple[OwnLabel, ...]
    draft: BundleDraft
    """What the bundle will say of itself, but for what is only known at the end."""
    work: Path


def plan_refit(bundle_dir: Path, cohort_dir: Path, out: Path, labels: Sequence[str] = ()) -> RefitPlan:
    """Raises CohortError, BundleError or another Refusal for a refit that cannot end well."""
    refuse_existing(out)
    manifest, manifest_sha256 = read_manifest(bundle_dir)
    if lacking := manifest.lacks("probe_features"):
        raise BundleError(f"probes need an ECG encoder, and this bundle has no {' and no '.join(lacking)}")
    verify_bundle(bundle_dir)

    # The cohort: patients in every split, and a label of any kind in those that fit.
    cohort = open_checked_cohort(cohort_dir, trained_window_days(manifest))
    cohort.check_amplitude(manifest.ecg.amplitude)
    if manifest.gives("retrieval") and cohort.tables.lacks is None:
        check_views(manifest, cohort.tables)
    own = read_own_labels(cohort, labels)
    by_kind = [[one.name for one in own if one.kind == kind] for kind in KIND_WORDS]
    refuse_alike(name for _kind, name in own_columns(*by_kind))
    rows = {split: ecg_rows(cohort, split, own) for split in SPLITS}
    check_anything_to_fit(cohort, rows, own)

    named = "".join(f" {one.table} {one.name}" for one in own)
    key = short_name_of(f"{manifest_sha256} {cohort.sha256} {version('echo2ecg')} {PROBES_SCHEMA_VERSION}{named}")
    told = {
        **described_cohort(cohort, rows),
        "encoders_from": manifest.id,
        "encoders_from_sha256": manifest_sha256,
        "cohort_of_the_encoders": any(
            manifest.training_data.get(name) == value for name, value in hashes_of(cohort).items()
        ),
        **({"own_labels": {one.name: f"{one.table}, {KIND_WORDS[one.kind]}" for one in own}} if own else {}),
        "tables_sha256": cohort.tables_sha256,
    }
    return RefitPlan(
        source=bundle_dir,
        manifest=manifest,
        cohort=cohort,
        rows=rows,
        own=own,
        draft=BundleDraft(
            **{name: getattr(manifest, name) for name in BundleDraft.model_fields}
            | {
                "id": f"{encoders_name(manifest.id)}-probes-{key}",
                "created": datetime.now(UTC),
                "code_version": version("echo2ecg"),
                "labels": LabelDefinitions(lvef=manifest.labels.lvef, shd_flags=SHD_FLAGS),
                "training_data": manifest.training_data | {"probes": told},
            }
        ),
        work=make_work(out.with_name(f"{out.name}.work")),
    )


def check_anything_to_fit(cohort: OpenCohort, rows: Mapping[str, pd.DataFrame], own: Sequence[OwnLabel]) -> None:
    """Refusal before the work where a split has no ECG, a label of one's own too few patients, or none is known."""
    for split, of_split in rows.items():
        check_patients(cohort, split)
        if of_split.empty:
            sentence = f"No ECG of a {split} patient has an echo study near it or a label of your own."
            raise CohortError("no_pairs", sentence)
    labels = labels_with_own(cohort, own)
    found = [labels_of_ecgs(rows[split], labels) for split in ("train", "val", "calibration")]
    for one in own:
        known = [(of_split[one.name].to_numpy(np.float64), of_split["patient_id"].tolist()) for of_split in found]
        splits = Splits(*(labelled(np.empty((len(value_N), 0)), value_N, patients) for value_N, patients in known))
        check_enough(one.name, one.kind, splits)
    questions = ["lvef_percent", "shd", *SHD_FLAGS, *(one.name for one in own)]
    if not any(all(of_split[name].nunique() > 1 for of_split in found) for name in questions):
        sentence = "The train, val and calibration patients know no label in common that differs among them."
        raise CohortError("labels_missing", sentence, hint=LABEL_HINT)


def taken_for(one: OwnLabel) -> str:
    """What a label of the user's own holds, for a person."""
    known = one.values.dropna()
    counts = f"{len(known)} known"
    if one.kind == "yes_no":
        counts = f"{int((known == 1).sum())} yes, {int((known == 0).sum())} no"
    return f"{one.name} is taken for {KIND_WORDS[one.kind]} ({counts}, in {one.table})."


def left_out_sentences(probes: ProbeFit) -> list[str]:
    """What the labels did not allow, for a person."""
    said = [f"No probe of {name}: {reason}." for name, reason in probes.left_out.items()]
    if probes.too_few:
        words = ", ".join(short_flag_words(flag) for flag in probes.too_few)
        said.append(f"Too few patients of either answer for a probe of: {words}.")
    return said


def encoders_name(bundle_id: str) -> str:
    """The id of the bundle that the encoders were first in: without what an earlier refit added."""
    return re.sub(r"-probes-[0-9a-f]+$", "", bundle_id)


def measure(plan: RefitPlan, probes: Probes, machine: Machine) -> EvaluationReport:
    """By a draft on the way to the final bundle."""
    path = plan.work / "probed"
    shutil.rmtree(path, ignore_errors=True)
    write_with_probes(path, plan.draft, plan.source, probes=probes, card="A draft of an unfinished refit.\n")
    return evaluate(path, plan.cohort, "test", machine, work=plan.work)
