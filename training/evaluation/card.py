"""The model card: what a bundle is, what made it, how well it does, and what it must not be used for.

Its words are in `card.md.j2`, a macro for each part that is also shown alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.bundle import BundleDraft, BundleManifest
from models.ood import UNUSUAL_PERCENTILE
from training.evaluation.evaluate import EvaluationReport
from training.probes.fit import ProbeFit
from training.recipes import Recipe


@dataclass(frozen=True)
class CardRun:
    """What a card tells of the run beside recipe and numbers.

    `ecg_encoder` and `echo_encoder` say in a sentence where the encoder is from. `starts` names, by the option of the
    command, the bundles that gave weights.
    """

    cohort_name: str
    bundle_name: str
    starts: Mapping[str, str]
    ecg_encoder: str
    echo_encoder: str


def model_card(recipe: Recipe, draft: BundleDraft, report: EvaluationReport, fit: ProbeFit, run: CardRun) -> str:
    """Markdown. `draft` is what the bundle's manifest says."""
    return f"{_rendered('card', recipe, draft, report, fit, run, UNUSUAL_PERCENTILE)}\n"


def metrics_section(report: EvaluationReport) -> str:
    """What was measured on how many, as tables, and what was not and why."""
    return _rendered("metrics", report)


def calibration_section(report: EvaluationReport, fit: ProbeFit) -> str:
    """How probabilities were calibrated, what they hold for, what comes with them, and how they did where measured."""
    return _rendered("calibration", report, fit, UNUSUAL_PERCENTILE)


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


@cache
def _macros() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown of our own numbers and names
    )
    environment.filters["form"] = format
    return environment.get_template("card.md.j2").module


def _rendered(macro: str, *values: object) -> str:
    return str(getattr(_macros(), macro)(*values)).strip("\n")
