"""Probes fitted afresh on a bundle's encoders, told from files to bundle."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from cohorts import SPLITS, OpenCohort, open_checked_cohort
from embedding.given_views import check_views
from ground.disk import short_name_of
from ground.findings import SHD_FLAGS
from models.bundle import (
    Bundle,
    BundleDraft,
    BundleError,
    BundleManifest,
    read_manifest,
    verify_bundle,
    write_with_probes,
)
from models.device import Machine
from models.labels import LabelDefinitions
from models.probes import PROBES_SCHEMA_VERSION, Probes
from training.data.cohort_arrays import prepare_ecgs
from training.evaluation.card import probe_metrics
from training.evaluation.evaluate import EvaluationReport, evaluate, trained_window_days
from training.evaluation.refit_card import card_of_source, refit_card
from training.outlook import check_labels
from training.plan import described_cohort, refuse_existing
from training.probes.data import fit_on_features


def refit(bundle_dir: Path, cohort_dir: Path, out: Path, machine: Machine) -> Path:
    """Writes the bundle `out`: the encoders of `bundle_dir` byte for byte, probes of the cohort's patients.

    The train, val and calibration patients fit and calibrate, the test patients measure. Prepared ECGs and view vectors
    are kept in `<out>.work` and found again by a later run. Returns `out`. Raises CohortError, BundleError or another
    Refusal that says what is wrong.
    """
    plan = plan_refit(bundle_dir, cohort_dir, out)
    cohort, spec = plan.cohort, plan.manifest.ecg

    # ECGs, read and prepared once. Test patients' files stay closed until the evaluation.
    ecgs = prepare_ecgs(cohort.tables, plan.pairs, spec, plan.work, machine)

    # Probes on the features as they will be served, calibrated on patients who fitted nothing else.
    encoders = Bundle.load(bundle_dir, device=str(machine.device), parts=("ecg",))
    probes = fit_on_features(encoders, cohort.labels, plan.pairs, ecgs.signals, plan.manifest.labels.lvef)

    # Measured on the test patients by the very bundle; then written with what was found.
    report = measure(plan, probes.probes, machine)
    about = plan.draft.training_data
    told = about["probes"]
    assert isinstance(told, dict)
    draft = plan.draft.model_copy(
        update={
            "metrics": plan.draft.metrics | probe_metrics(probes, report),
            "training_data": about | {"probes": told | {"skipped_ecgs": dict(ecgs.skipped)}},
        }
    )
    card = refit_card(draft, report, probes, card_of_source(bundle_dir), cohort=cohort.root.name, out=out.name)
    write_with_probes(out, draft, bundle_dir, probes=probes.probes, card=card)
    return out


@dataclass(frozen=True)
class RefitPlan:
    """What a refit is decided by, before any work."""

    source: Path
    manifest: BundleManifest
    """Of the bundle that gives the encoders."""
    cohort: OpenCohort
    pairs: Mapping[str, pd.DataFrame]
    """An ECG and a study of one patient within the window of the encoders' training, by split."""
    draft: BundleDraft
    """What the bundle will say of itself, but for what is only known at the end."""
    work: Path


def plan_refit(bundle_dir: Path, cohort_dir: Path, out: Path) -> RefitPlan:
    """Raises CohortError, BundleError or another Refusal for a refit that cannot end well."""
    refuse_existing(out)
    manifest, manifest_sha256 = read_manifest(bundle_dir)
    if lacking := manifest.lacks("ecg_embeddings"):  # with which predictions are served
        raise BundleError(f"probes need a whole ECG tower, and this bundle has no {' and no '.join(lacking)}")
    verify_bundle(bundle_dir)

    # The cohort, held to the same as for training: every label in every split.
    cohort = open_checked_cohort(cohort_dir, trained_window_days(manifest))
    cohort.check_amplitude(manifest.ecg.amplitude)
    if manifest.gives("retrieval") and cohort.tables.lacks is None:
        check_views(manifest, cohort.tables)
    pairs = {split: cohort.split(split) for split in SPLITS}
    check_labels(pairs, cohort.labels, cohort.window_days, manifest.labels.lvef)

    key = short_name_of(f"{manifest_sha256} {cohort.sha256} {version('echo2ecg')} {PROBES_SCHEMA_VERSION}")
    told = {
        "encoders_from": manifest.id,
        "encoders_from_sha256": manifest_sha256,
        "cohort_of_the_encoders": manifest.training_data.get("tables_sha256") == cohort.tables_sha256,
        **described_cohort(cohort, pairs),
        "tables_sha256": cohort.tables_sha256,
    }
    return RefitPlan(
        source=bundle_dir,
        manifest=manifest,
        cohort=cohort,
        pairs=pairs,
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
        work=out.with_name(f"{out.name}.work"),
    )


def encoders_name(bundle_id: str) -> str:
    """The id of the bundle that the encoders were first in: without what an earlier refit added."""
    return re.sub(r"-probes-[0-9a-f]+$", "", bundle_id)


def measure(plan: RefitPlan, probes: Probes, machine: Machine) -> EvaluationReport:
    """By a draft on the way to the final bundle."""
    path = plan.work / "probed"
    shutil.rmtree(path, ignore_errors=True)
    write_with_probes(path, plan.draft, plan.source, probes=probes, card="A draft of an unfinished refit.\n")
    return evaluate(path, plan.cohort, "test", machine, work=plan.work)
