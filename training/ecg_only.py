"""A run that pre-trains an ECG encoder and ends: told from ECGs to a bundle that has the encoder and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from cohorts import SPLITS, OpenCohort, open_checked_cohort
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from models.bundle import BundleDraft, without, write_bundle
from models.device import Machine
from models.labels import LabelDefinitions
from models.towers import EcgTower
from training.encoders.ecg import ecg_pretraining_key, pretrained_ecg_encoder
from training.engine.place import Place
from training.evaluation.card import rendered
from training.plan import RELATIVE, for_cohort, hashes_of, make_work, refuse_existing, said_of_cohort
from training.recipes import Recipe

_NOT_TRAINED = ("token_aggregator", "ecg_alignment_global_token")
"""Of an ECG tower: what an alignment learns."""


def train_ecg_only(
    cohort_dir: Path,
    recipe: Recipe,
    out: Path,
    machine: Machine,
    starts: tuple[Path | None, Path | None],
    resume: bool,
    say: Callable[[str], None] | None,
) -> Path:
    """`training.train.train` for a recipe without alignment; of the cohort only ECGs and splits are needed.

    What is expensive is kept in `<out>.work`, as by every run. Raises CohortError or another Refusal.
    """
    refuse_existing(out)
    if any(starts):
        raise Refusal("start_not_fitting", f"the recipe {recipe.name} starts from random weights, and from no bundle")
    cohort = open_checked_cohort(cohort_dir, recipe.window_days)
    recipe = for_cohort(recipe, cohort)
    if say is not None and recipe.ecg.amplitude == "relative":
        say(RELATIVE)
    key = ecg_pretraining_key(recipe, cohort.sha256, version("echo2ecg"))
    draft = _draft(recipe, cohort, key)
    work = make_work(out.with_name(f"{out.name}.work"))
    place = Place(work / f"ecg-{key}", resume=resume)
    place.begin()
    trained = pretrained_ecg_encoder(cohort.tables, recipe, work, place, machine)

    tower = without(EcgTower(recipe.architecture), _NOT_TRAINED)
    assert trained.encoder is not None
    assert trained.fit is not None
    fit = trained.fit
    found = {"best_epoch": fit.best_epoch, "score": fit.best_score, "epochs_run": fit.epochs_run}
    draft = draft.model_copy(update={"metrics": {"validation": found}})
    tower.ecg_encoder.load_state_dict(trained.encoder.state_dict())
    card = rendered("ecg_only_card.md.j2", "card", recipe, draft, trained.origin, cohort.root.name, out.name)
    write_bundle(out, draft, ecg_tower=tower, card=card)
    return out


def _draft(recipe: Recipe, cohort: OpenCohort, key: str) -> BundleDraft:
    return BundleDraft(
        id=f"{recipe.name}-{key}",
        created=datetime.now(UTC),
        code_version=version("echo2ecg"),
        seeds={"training": recipe.seed},
        architecture=recipe.architecture,
        ecg=recipe.ecg,
        echo=recipe.echo,
        labels=LabelDefinitions(lvef=recipe.lvef_classes, shd_flags=SHD_FLAGS),
        metrics={},
        training_data=said_of_cohort(cohort)
        | _counts(cohort)
        | {"recipe": recipe.model_dump(mode="json")}
        | hashes_of(cohort),
        absent=_NOT_TRAINED,
    )


def _counts(cohort: OpenCohort) -> dict[str, JsonValue]:
    """Patients and ECGs of each split, paired with a study or not."""
    ecgs = cohort.tables.ecgs
    counts: dict[str, JsonValue] = {}
    for split in SPLITS:
        of_split = ecgs[ecgs["patient_id"].isin(cohort.tables.patients(split))]
        counts |= {f"{split}_patients": int(of_split["patient_id"].nunique()), f"{split}_ecgs": len(of_split)}
    return counts
