"""A training run, decided before any work: on what, from what, under which name, and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from cohorts import SPLITS, Cohort, OpenCohort, open_checked_cohort
from embedding.given_views import check_views
from ground.disk import sha256
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from models.bundle import BundleDraft, read_manifest
from models.labels import LabelDefinitions
from training.encoders.ecg import EcgStart, bundle_ecg_encoder, ecg_pretraining_key
from training.encoders.echo import check_start, echo_encoder_key, taught_facts
from training.engine.place import Place
from training.outlook import check_echo, check_labels
from training.recipes import Recipe


@dataclass(frozen=True)
class Plan:
    """What a run is decided by. Nothing of it changes while the run goes on."""

    recipe: Recipe
    cohort: OpenCohort
    pairs: Mapping[str, pd.DataFrame]
    """An ECG and a study of one patient within the recipe's window, by split."""
    draft: BundleDraft
    """What the bundle will say of itself, but for what is only known at the end."""
    out: Path
    work: Path
    """What is expensive is kept here: prepared ECGs and view vectors by content, checkpoints by recipe and cohort."""
    start: Path | None
    """The bundle whose echo encoder is used; None: it is trained here or, without a place, there is none."""
    ecg_start: EcgStart
    """What the ECG tower starts from, unless the recipe trains an encoder first."""
    start_names: Mapping[str, str]
    """By option of the command, the bundles that give weights."""
    echo_place: Place | None
    ecg_place: Place | None
    run_place: Place

    def begin(self) -> None:
        """Makes room for a run that shall start afresh."""
        for place in (self.echo_place, self.ecg_place, self.run_place):
            if place is not None:
                place.begin()

    def warnings(self) -> list[str]:
        """What a person should know before it starts, a sentence each."""
        behind = self.leaves_behind()
        relative = RELATIVE if self.recipe.ecg.amplitude == "relative" else None
        return [sentence for sentence in (behind, relative) if sentence is not None]

    def leaves_behind(self) -> str | None:
        """A sentence where the work folder holds runs that could be gone on from, and none of them is this one."""
        checkpoints = [path.parent for path in self.work.glob("run-*/*-last.pt")]
        if not self.run_place.resume or not checkpoints or self.run_place.folder in checkpoints:
            return None
        return (
            f"Checkpoints of another recipe, cohort or version are in {self.work.name}; "
            "this run starts its epochs afresh."
        )


def plan_run(
    cohort_dir: Path, recipe: Recipe, out: Path, *, start: Path | None, ecg_start: Path | None, resume: bool
) -> Plan:
    """Raises CohortError, BundleError or another Refusal for a run that cannot end well: see `training.train.train`."""
    refuse_existing(out)
    if start is not None:
        if recipe.echo_pretraining is not None:
            raise Refusal("start_not_fitting", f"the recipe {recipe.name} trains its own echo encoder")
        check_start(start, recipe)
    if recipe.ecg_pretraining is not None and ecg_start is not None:
        raise Refusal("start_not_fitting", f"the recipe {recipe.name} pre-trains its own ECG encoder")
    given = EcgStart()
    if ecg_start is not None:
        manifest, _ = read_manifest(ecg_start)
        encoder = bundle_ecg_encoder(ecg_start, manifest, recipe)
        given = EcgStart(encoder, f"Its weights started from the bundle {manifest.id}.")

    # The cohort: pairs of one patient within the window, each patient in one split, every label in every split.
    cohort = open_checked_cohort(cohort_dir, recipe.window_days)
    check_echo(cohort)
    recipe = for_cohort(for_views(recipe, cohort.tables, start), cohort)
    pairs = {split: cohort.split(split) for split in SPLITS}
    check_labels(cohort, pairs, recipe.window_days, recipe.lvef_classes)

    code_version = version("echo2ecg")
    decides = cohort.sha256, code_version
    key = _run_key(recipe, *decides, (start, ecg_start))
    work = make_work(out.with_name(f"{out.name}.work"))
    echo, ecg = (recipe.echo_pretraining is not None), (recipe.ecg_pretraining is not None)
    return Plan(
        recipe=recipe,
        cohort=cohort,
        pairs=pairs,
        draft=BundleDraft(
            id=f"{recipe.name}-{key}",
            created=datetime.now(UTC),
            code_version=code_version,
            seeds={"training": recipe.seed},
            architecture=recipe.architecture,
            ecg=recipe.ecg,
            echo=recipe.echo,
            labels=LabelDefinitions(lvef=recipe.lvef_classes, shd_flags=SHD_FLAGS),
            metrics={},
            training_data=described_cohort(cohort, pairs)
            | _taught(cohort.tables, recipe)
            | {"recipe": recipe.model_dump(mode="json")}
            | hashes_of(cohort),
        ),
        out=out,
        work=work,
        start=start,
        ecg_start=given,
        start_names={
            option: path.resolve().name
            for option, path in (("--start", start), ("--ecg-start", ecg_start))
            if path is not None
        },
        echo_place=Place(work / f"echo-{echo_encoder_key(recipe, *decides)}", resume=resume) if echo else None,
        ecg_place=Place(work / f"ecg-{ecg_pretraining_key(recipe, *decides)}", resume=resume) if ecg else None,
        run_place=Place(work / f"run-{key}", resume=resume),
    )


RELATIVE = (
    "The ECGs of this cohort have no unit (amplitude: relative): what is trained on them knows shapes and not heights, "
    "and is no judge of ECGs in millivolt."
)


def for_cohort(recipe: Recipe, cohort: OpenCohort) -> Recipe:
    """The recipe for ECGs as the cohort has them, with a unit or without."""
    ecg = recipe.ecg.model_copy(update={"amplitude": cohort.tables.amplitude})
    return recipe.model_copy(update={"ecg": ecg})


def for_views(recipe: Recipe, cohort: Cohort, start: Path | None) -> Recipe:
    """The recipe for view vectors as the cohort has them: of clips, or given.

    Refusal for a recipe that trains an echo encoder without clips, and for one that has neither an encoder nor vectors.
    """
    given, source = len(cohort.given_views), cohort.view_source
    if recipe.echo_pretraining is not None and given:
        raise Refusal(
            "recipe_needs_clips",
            f"the recipe {recipe.name} pre-trains an echo encoder and needs clips, and {given} views of this cohort "
            "are vectors",
            hint="`train --recipe vectors` aligns ECGs with the vectors.",
        )
    if start is not None:
        check_views(read_manifest(start)[0], cohort)
    elif recipe.echo_pretraining is None:
        if source is None or not given or not cohort.echos.empty:
            raise Refusal(
                "start_not_fitting", f"the recipe {recipe.name} needs a bundle with an echo encoder to start from"
            )
        architecture = recipe.architecture.model_copy(update={"view_dim": source.width})
        return recipe.model_copy(update={"architecture": architecture})
    return recipe


def refuse_existing(out: Path) -> None:
    """Before the work, not after it."""
    if out.exists():
        raise Refusal(
            "bundle_exists", f"{out.name} exists already; a bundle is never changed in place, so name another folder"
        )


def make_work(folder: Path) -> Path:
    """The folder, made where it is not there yet: a place that cannot be written to is said before the work."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run_key(recipe: Recipe, cohort_id: str, code_version: str, starts: tuple[Path | None, ...]) -> str:
    """Short name of everything that decides a run: another recipe, cohort, start or code is another run."""
    digest = sha256(f"{recipe.model_dump_json()} {cohort_id} {code_version}".encode())
    for start in starts:
        digest.update(b"" if start is None else (start / "manifest.json").read_bytes())
    return digest.hexdigest()[:12]


def described_cohort(cohort: OpenCohort, pairs: Mapping[str, pd.DataFrame]) -> dict[str, JsonValue]:
    """What the cohort says of itself, counts by split, and how far an ECG and its study may lie apart."""
    counts = {
        f"{split}_{what}": int(of_split[column].nunique())
        for split, of_split in pairs.items()
        for what, column in (("patients", "patient_id"), ("ecgs", "ecg_id"), ("studies", "study_id"))
    }
    return said_of_cohort(cohort) | counts | {"window_days": cohort.window_days}


def _taught(cohort: Cohort, recipe: Recipe) -> dict[str, JsonValue]:
    """What the clips of the train patients teach an echo encoder, where one is trained."""
    if recipe.echo_pretraining is None:
        return {}
    by_study = taught_facts(cohort, recipe) is None
    return {"echo_encoder_taught": "the phenotypes of each clip's study" if by_study else "what each clip shows"}


def hashes_of(cohort: OpenCohort) -> dict[str, JsonValue]:
    """What a later fit of probes knows the cohort by."""
    return {"tables_sha256": cohort.tables_sha256, "columns_sha256": cohort.columns_sha256}


_NOT_THE_COHORTS = {
    "roots", "probes", "own_labels", "left_out", "skipped_ecgs", "skipped_clips", "window_days", "echo_encoder_taught"
}  # fmt: skip
"""Where files lie on this machine, and what a manifest says under these names of the training itself."""


def said_of_cohort(cohort: OpenCohort) -> dict[str, JsonValue]:
    """What `cohort.json` says, but for names that are not its own, and what its ECGs are once they are read."""
    said = {name: value for name, value in cohort.about.written.items() if name not in _NOT_THE_COHORTS}
    return said | ({"amplitude": cohort.tables.amplitude} if said.keys() & {"amplitude", "lead_scale"} else {})
