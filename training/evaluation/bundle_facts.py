"""What a bundle on disk knows of itself, for cards that follow somebody else's list of questions.

A fact that it does not know is None, and whoever asks says so: nothing is made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import JsonValue, ValidationError

from ground.errors import Refusal
from ground.findings import short_flag_words
from models.bundle import BundleManifest, read_manifest, read_probes
from models.lacking import Lacking, lacking_parts, lacking_sentence
from models.probes import Probes
from training.evaluation.evaluate import EvaluationReport

_SPLITS = ("train", "val", "calibration", "test")


@dataclass(frozen=True)
class BundleFacts:
    """The manifest and an evaluation, where there is one."""

    manifest: BundleManifest
    report: EvaluationReport | None
    lacking: tuple[Lacking, ...]
    probes: Probes | None
    own_report: bool
    """Whether the evaluation is the one of the run that wrote the bundle, on patients of its cohort."""
    unread: bool = False
    """Whether the run that wrote it left an evaluation that this version cannot read; there is no report then."""
    untold: frozenset[str] = frozenset()
    """Questions, as an evaluation names them, whose operating point says nothing of any ECG."""
    untold_own: tuple[str, ...] = ()
    """Labels of whoever fitted it of which the same holds: one may be called as a question is."""

    @property
    def trained_on(self) -> Mapping[str, JsonValue]:
        return self.manifest.training_data

    @property
    def trained_on_simulation(self) -> bool:
        """Whether nothing of it, encoders or probes, has seen a real patient."""
        apart = self.probes_apart
        return "simulator_version" in self.trained_on and (apart is None or "simulator_version" in apart)

    @property
    def probes_apart(self) -> Mapping[str, JsonValue] | None:
        """What the probes were fitted on, where that is another cohort than the encoders were trained on."""
        probes = self.trained_on.get("probes")
        return probes if isinstance(probes, dict) and probes.get("cohort_of_the_encoders") is not True else None

    @property
    def purpose(self) -> str | None:
        """What it reads and finds, by the parts that it has."""
        found = []
        if self.manifest.gives("predictions") and self.questions:
            found.append(f"reads {' and '.join(self.questions)} from a 12-lead ECG")
        if self.manifest.gives("retrieval"):
            found.append("finds the echo studies most like a 12-lead ECG")
        return " and ".join(found) or None

    @property
    def questions(self) -> list[str]:
        """What its probes answer, labels of whoever fitted it included."""
        probes = self.probes
        if probes is None:
            return []
        asked = {"LVEF class": probes.lvef, "structural heart disease": probes.shd}
        return [words for words, probe in asked.items() if probe is not None] + [coded(name) for name in probes.own]

    @property
    def data(self) -> str | None:
        """Where the training data are from, by what the cohort said of itself."""
        return _apart(_origin(self.trained_on), None if self.probes_apart is None else _origin(self.probes_apart))

    @property
    def split_counts(self) -> str | None:
        return _apart(_counts(self.trained_on), None if self.probes_apart is None else _counts(self.probes_apart))

    @property
    def recipe(self) -> str | None:
        recipe = self.trained_on.get("recipe")
        return str(recipe["name"]) if isinstance(recipe, dict) and "name" in recipe else None

    @property
    def skipped(self) -> str | None:
        """What could not be read, in counts by reason."""
        if "skipped_ecgs" not in self.trained_on:
            return None
        parts = (("ECGs", self.trained_on["skipped_ecgs"]), ("clips", self.trained_on.get("skipped_clips", {})))
        told = [f"{sum(by.values())} {kind}" for kind, by in parts if isinstance(by, dict)]  # type: ignore[arg-type]
        return f"left out as unreadable: {' and '.join(told)}; labels that are unknown are left out of what needs them"

    @property
    def lacking_sentence(self) -> str | None:
        """What its answers lack; None where nothing is."""
        return lacking_sentence(self.lacking) if self.lacking else None

    @property
    def input_words(self) -> str:
        ecg = self.manifest.ecg
        return (
            f"leads {', '.join(ecg.leads)}, resampled to {ecg.rate_hz:g} Hz, baseline removed, normalised in groups, "
            f"windows of {ecg.window_samples / ecg.rate_hz:.2f} s"
        )

    @property
    def output_words(self) -> str | None:
        """What its probes answer, each with its definition."""
        probes, labels = self.probes, self.manifest.labels
        if probes is None:
            return None
        told = []
        if probes.lvef is not None:
            told.append(f"LVEF classes {', '.join(labels.lvef.ranges)}")
        if probes.shd is not None:
            told.append(f"structural heart disease: {labels.shd_rule}")
        if probes.flags:
            told.append(f"single findings: {', '.join(map(short_flag_words, probes.flags))}")
        told += [f"{coded(name)}, a yes or no of whoever fitted the probes" for name in probes.own_yes_no]
        told += [f"{coded(name)}, a number of whoever fitted the probes" for name in probes.own_numbers]
        return "; ".join(told) or None

    @property
    def model_words(self) -> str:
        """The parts that the bundle has."""
        sizes, manifest = self.manifest.architecture, self.manifest
        parts = []
        if manifest.gives("ecg_encoder"):
            parts.append(f"vision transformer of {sizes.ecg.depth} blocks of {sizes.ecg.embed_dim} channels on the ECG")
        if manifest.gives("view_vectors"):
            parts.append(f"encoder of echo clips of {len(sizes.echo.blocks)} blocks")
        if manifest.gives("retrieval"):
            parts.append("both aligned in one space")
        if manifest.gives("predictions"):
            parts.append("calibrated linear probes on the ECG features")
        return ", ".join(parts)

    @property
    def tested_apart(self) -> str | None:
        """Whether those measured trained something, as far as that is known."""
        if self.report is None:
            return None
        if self.own_report and self.probes_apart is not None:
            who = "patients who fitted and tuned nothing of the probes"
            return f"{who}; whether any of them trained the encoders, the bundle does not say"
        if self.own_report:
            return "patients who trained and tuned nothing"
        return f"the {self.report.split} patients of a cohort; whether any of them trained it, the bundle does not say"

    @property
    def measured_on(self) -> str | None:
        report = self.report
        if report is None:
            return None
        simulated = ", simulated" if report.simulated_cohort else ""
        source = f"of {self.own_cohort}" if self.own_report else "of the cohort of a later evaluation"
        return (
            f"{report.patients} patients, {report.ecgs} ECGs and {report.studies} studies{simulated}: "
            f"the {report.split} patients {source}"
        )

    @property
    def own_cohort(self) -> str:
        """What the cohort of the bundle's own evaluation is to it."""
        return "the training cohort" if self.probes_apart is None else "the cohort that its probes were fitted on"

    def group_sentence(self) -> str | None:
        """AUROC of SHD by sex and age, where it was measured."""
        groups = () if self.report is None else self.report.overall_subgroups
        told = [
            f"{found.column} {found.group} (n {found.n}): {found.scores.auroc if found.scores else 'not measured'}"
            for found in groups
            if found.question == "SHD"
        ]
        return f"AUROC of SHD by group: {'; '.join(told)}" if told else None


def coded(name: str) -> str:
    """The name of a label as code of Markdown, in which nothing but its end has a meaning."""
    return f"`{name.replace('`', chr(39))}`"


def _untold(probes: Probes | None, lowest_range: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """Of the questions, and of labels of whoever fitted it."""
    if probes is None:
        return frozenset(), ()
    asked = {f"LVEF {lowest_range}": probes.lvef, "SHD": probes.shd}
    points = {question: probe.operating_point for question, probe in asked.items() if probe is not None}
    own = {name: probe.operating_point for name, probe in probes.own_yes_no.items()}
    return (
        frozenset(question for question, point in points.items() if point is not None and not point.can_tell),
        tuple(name for name, point in own.items() if point is not None and not point.tells_apart),
    )


def _origin(about: Mapping[str, JsonValue]) -> str | None:
    if "simulator_version" in about:
        return f"invented by simulator version {about['simulator_version']}: no patient, ECG or echo is real"
    return "; ".join(str(about[key]) for key in ("name", "source", "notice") if key in about) or None


def _counts(about: Mapping[str, JsonValue]) -> str | None:
    counts = [
        f"{split}: {about[f'{split}_patients']} patients, {about[f'{split}_ecgs']} ECGs"
        for split in _SPLITS
        if {f"{split}_patients", f"{split}_ecgs"} <= set(about)
    ]
    return "; ".join(counts) or None


def _apart(of_encoders: str | None, of_probes: str | None) -> str | None:
    """One sentence of both; that of the encoders alone where the probes have no other."""
    if of_probes is None:
        return of_encoders
    return f"encoders: {of_encoders or 'not known'}; probes: {of_probes}"


def bundle_facts(bundle_dir: Path, report_file: Path | None = None) -> BundleFacts:
    """Of a bundle, with the evaluation of its training run or the one in `report_file` (`evaluate --json`).

    Raises BundleError, or a Refusal where the file is no evaluation, or one of another bundle.
    """
    manifest, _ = read_manifest(bundle_dir)
    probes = read_probes(bundle_dir, manifest)
    lacks, (untold, untold_own) = lacking_parts(probes), _untold(probes, manifest.labels.lvef.ranges[0])
    facts = partial(BundleFacts, manifest, lacking=lacks, probes=probes, untold=untold, untold_own=untold_own)
    if report_file is None:
        stored = manifest.metrics.get("test")
        own, unread = None, False
        try:
            own = None if stored is None else EvaluationReport.model_validate(stored)
        except ValidationError:
            unread = True
        return facts(report=own, own_report=True, unread=unread)
    try:
        report = EvaluationReport.model_validate_json(report_file.read_bytes())
    except (ValidationError, OSError) as error:
        sentence = "The report is no evaluation by `evaluate --json` that can be read."
        raise Refusal("report_unreadable", sentence) from error
    if report.bundle_id != manifest.id:
        raise Refusal("report_of_another", f"The report is of {report.bundle_id} and the bundle is {manifest.id}.")
    return facts(report=report, own_report=False)
