"""The model card: what a bundle is, what made it, how well it does, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.bundle import BundleManifest
from models.ood import UNUSUAL_PERCENTILE
from models.probes import Probes
from training.evaluation.evaluate import EvaluationReport
from training.evaluation.metrics import YesNoReport
from training.probes.fit import ProbeFit
from training.recipes import Recipe


def model_card(
    recipe: Recipe,
    report: EvaluationReport,
    *,
    created: datetime,
    code_version: str,
    training_data: Mapping[str, object],
    cohort_name: str,
    bundle_name: str,
    starts: Mapping[str, str],
    ecg_encoder: str,
    echo_encoder: str,
    probes: ProbeFit,
) -> str:
    """Markdown. `training_data` is the manifest's; `ecg_encoder` and `echo_encoder` say in a sentence where the encoder
    is from. `starts` names, by the option of the command, the bundles that gave weights.
    """
    simulated = "simulator_version" in training_data
    options = "".join(f" {option} {name}" for option, name in starts.items())
    commands = [f"echo2ecg train {cohort_name} --recipe {recipe.name}{options} --out {bundle_name}"]
    if simulated:
        patients, seed = training_data["patients"], training_data["seed"]
        commands.insert(0, f"echo2ecg simulate {cohort_name} --patients {patients} --seed {seed}")
    sections = [
        f"# {report.bundle_id}",
        (
            "Aligns 12-lead ECGs with echo studies (the Echo2ECG method, arXiv 2603.08505): finds studies most like "
            "an ECG, and reads LVEF class and structural heart disease (SHD) from the ECG alone."
        ),
        "**Research software, not a medical device.** It must not inform decisions about a patient.",
        "## What it is made of",
        _parts(recipe, created, code_version, ecg_encoder, echo_encoder),
        "## What it was trained on",
        _data(training_data, simulated),
        "## How to make it again",
        "```\n" + "\n".join(commands) + "\n```",
        f"## How well it does: {report.split} patients",
        metrics_section(report),
        "## How sure its probabilities are",
        calibration_section(report, probes),
        "## Limits",
        _limits(simulated),
        "## Licences",
        _licences(starts),
    ]
    return "\n\n".join(sections) + "\n"


def _licences(starts: Mapping[str, str]) -> str:
    if not starts:
        return "Code and these weights: MIT. No published weights went into them."
    names = " and ".join(dict.fromkeys(starts.values()))
    return f"Code: MIT. Weights of {names} went in. The terms in that bundle's card hold for this bundle too."


def echo_encoder_sentence(manifest: BundleManifest, *, trained_here: bool) -> str:
    """Where the echo encoder of a run is from, by the bundle that it was taken from."""
    if not trained_here:
        return f"Taken from the bundle {manifest.id}."
    metrics: dict[str, Any] = dict(manifest.metrics)
    sentence = (
        f"Trained first, on {metrics['train_clips']} clips of the train patients, to regress the phenotypes of their "
        "studies from single clips"
    )
    explained = metrics["val_r2"].get("lvef_percent")
    if explained is None:
        return f"{sentence}."
    return f"{sentence} (single validation clips explain {explained:.0%} of the variance of LVEF)."


def _parts(recipe: Recipe, created: datetime, code_version: str, ecg_encoder: str, echo_encoder: str) -> str:
    sizes = recipe.architecture
    return "\n".join(
        [
            (
                f"- Recipe `{recipe.name}`, seed {recipe.seed}, code version {code_version}, "
                f"{created.date().isoformat()}. Every setting of it stands in `manifest.json` under `training_data`."
            ),
            (
                f"- ECG encoder: {sizes.ecg.depth} blocks of {sizes.ecg.embed_dim} channels over windows of "
                f"{recipe.ecg.window_samples / recipe.ecg.rate_hz:.2f} s at {recipe.ecg.rate_hz:g} Hz "
                f"(`windows: {recipe.ecg.windows}`). {ecg_encoder}"
            ),
            (
                f"- Echo encoder: {len(sizes.echo.blocks)} blocks over {sizes.echo.frames} frames of {sizes.echo.size} "
                f"pixels. {echo_encoder} It was frozen while the towers were aligned."
            ),
            f"- Embeddings: {sizes.embedding_dim} numbers, unit length; probes use {sizes.features_dim} ECG features.",
        ]
    )


def _data(training_data: Mapping[str, object], simulated: bool) -> str:
    rows = [f"- {name.replace('_', ' ')}: {value}" for name, value in training_data.items() if name != "recipe"]
    notice = (
        "The training data are **simulated**: every patient, ECG and echo clip is invented. What the numbers below say "
        "about real patients is: nothing.\n\n"
    )
    return (notice if simulated else "") + "\n".join(rows)


def metrics_section(report: EvaluationReport) -> str:
    """What was measured on how many, as tables, and what was not and why."""
    rows = [
        (
            f"{report.patients} patients, {report.ecgs} ECGs, {report.studies} studies that trained and tuned nothing. "
            "In brackets 95 % intervals by bootstrap over patients."
        ),
        *(f"\nNot measured: {reason}." for reason in report.missing()),
        "",
        "| | value |",
        "|---|---|",
        *(f"| {name} | {estimate} |" for name, estimate in report.headline().items()),
        "",
        "| question | probe | n (positive) | AUROC | AUPRC | F1 | balanced accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, probe in (("linear", report.linear_probe), ("5 nearest neighbours", report.knn_probe)):
        if probe is None:
            continue
        for question, yes_no in (
            (f"LVEF {report.lvef_lowest_class_range}", probe.lvef_lowest_class),
            ("SHD", probe.shd),
        ):
            if yes_no is None:
                continue
            numbers = (yes_no.auroc, yes_no.auprc, yes_no.f1, yes_no.balanced_accuracy)
            row = " | ".join(str(number) for number in numbers)
            rows.append(f"| {question} | {kind} | {yes_no.n} ({yes_no.positives}) | {row} |")
    rows += [
        "",
        "| retrieval, relevant = | own patient | direction | precision@10 | random | mAP | median rank of the first |",
        "|---|---|---|---|---|---|---|",
    ]
    for retrieval in report.retrieval:
        relevant = "the paired study" if retrieval.relevant == "pair" else f"{retrieval.relevant} within 0.5 SD"
        own = "excluded" if retrieval.own_patient_excluded else "included"
        for direction, found in (("ECG to study", retrieval.ecg_to_study), ("study to ECG", retrieval.study_to_ecg)):
            rows.append(
                f"| {relevant} | {own} | {direction} | {found.precision_at_10} | {found.random_precision:.3f} | "
                f"{found.metrics['mean_average_precision']:.3f} | {found.metrics['median_rank']:g} |"
            )
    return "\n".join(rows)


def calibration_section(report: EvaluationReport, fit: ProbeFit) -> str:
    """How probabilities were calibrated, what they hold for, what comes with them, and how they did where measured."""
    choices, probes = fit.choices, fit.probes
    rows = [
        (
            f"Calibrated on {choices['lvef_calibration_ecgs']:g} (LVEF) and {choices['shd_calibration_ecgs']:g} (SHD) "
            "ECGs of patients who trained nothing else. SHD is called positive above "
            f"{choices['shd_threshold']:.3f}, where sensitivity + specificity was greatest on the validation patients. "
            f"Of the calibration patients' ECGs {choices['lvef_calibration_unlabelled_ecgs']:g} had no LVEF and "
            f"{choices['shd_calibration_unlabelled_ecgs']:g} no SHD label; what follows holds for those with a label."
        )
    ]
    if probes.lvef.prevalence_C and probes.shd.prevalence:
        here = ", ".join(f"{share:.1%}" for share in probes.lvef.prevalence_C)
        train = ", ".join(f"{choices[f'lvef_train_prevalence_{c}']:.1%}" for c in range(len(probes.lvef.prevalence_C)))
        rows += [
            "",
            (
                f"They hold where LVEF classes are as frequent as in calibration ({here}; {train} of the train ECGs) "
                f"and SHD is ({probes.shd.prevalence:.1%}; {choices['shd_train_prevalence']:.1%} of the train ECGs). "
                "`Bundle.with_prevalence` moves them to other shares."
            ),
        ]
    rows += ["", "- " + "\n- ".join([*_prediction_sets(probes), _flags(fit), _unusual(fit)])]
    for question, yes_no in (
        (f"LVEF {report.lvef_lowest_class_range}", report.linear_probe.lvef_lowest_class),
        ("SHD", report.linear_probe.shd),
    ):
        if yes_no is not None:
            rows += ["", _reliability(question, yes_no)]
    return "\n".join(rows)


def _prediction_sets(probes: Probes) -> list[str]:
    rows = []
    for question, sets in (("LVEF", probes.lvef.sets), ("SHD", probes.shd.sets)):
        if sets is None:
            rows.append(f"{question} has no prediction sets: too few calibration patients, or too few of a class.")
        else:
            rows.append(
                f"{question} prediction sets hold the truth for {sets.coverage:.0%} of patients like the "
                f"{sets.n_calibration} who sized them, over all patients and not within each class."
            )
    return rows


def _flags(fit: ProbeFit) -> str:
    sentence = f"SHD flags with a probe of their own: {', '.join(fit.probes.flag_names) or 'none'}."
    return f"{sentence} Too few cases for one: {', '.join(fit.too_few)}." if fit.too_few else sentence


def _unusual(fit: ProbeFit) -> str:
    if fit.probes.ood is None:
        return "It cannot tell how unusual an ECG is: too few ECGs, or windows too short."
    return (
        f"How unusual an ECG is, is told against {fit.choices['ood_held_out_ecgs']:g} ECGs of patients who trained "
        f"nothing, one of each; above percentile {UNUSUAL_PERCENTILE:g} there is a warning."
    )


def _reliability(question: str, yes_no: YesNoReport) -> str:
    rows = [
        (
            f"{question}: Brier score {yes_no.brier:.3f}, expected calibration error "
            f"{yes_no.expected_calibration_error:.3f}, AUROC {yes_no.auroc}."
        ),
        "",
        "| predicted | n | mean predicted | observed |",
        "|---|---|---|---|",
        *(
            f"| {b.low:.1f} to {b.high:.1f} | {b.n} | {b.mean_predicted:.3f} | {b.observed:.3f} |"
            for b in yes_no.reliability
        ),
    ]
    return "\n".join(rows)


def _limits(simulated: bool) -> str:
    rows = [
        "- Probabilities hold for patients like those it was calibrated on; another prevalence shifts them.",
        "- Similarity is of embeddings: a similar study is a reason to look, not a finding.",
        "- Tested on patients of the same source as those it was trained on, and on no other.",
    ]
    if simulated:
        rows.insert(0, "- It has never seen a real patient. On real ECGs it runs, and what it says there is untested.")
    return "\n".join(rows)
