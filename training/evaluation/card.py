"""The model card: what a bundle is, what made it, how well it does, and what it must not be used for.

Its words are in `card.md.j2`, a macro for each part that is also shown alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import JsonValue

from models.bundle import BundleDraft, BundleManifest
from models.ood import UNUSUAL_PERCENTILE
from training.changed_recipe import as_toml
from training.evaluation.bundle_facts import coded
from training.evaluation.evaluate import EvaluationReport
from training.probes.fit import ProbeFit
from training.recipes import Recipe

CARD_WORDS = "card.md.j2"


@dataclass(frozen=True)
class CardRun:
    """What a card tells of the run beside recipe and numbers.

    `ecg_encoder` and `echo_encoder` say in a sentence where the encoder is from; the latter is None for a bundle
    without one, whose views are vectors that the cohort gave. `starts` names, by the option of the command, the bundles
    that gave weights.
    """

    cohort_name: str
    bundle_name: str
    starts: Mapping[str, str]
    ecg_encoder: str
    echo_encoder: str | None


def model_card(recipe: Recipe, draft: BundleDraft, report: EvaluationReport, fit: ProbeFit, run: CardRun) -> str:
    """Markdown. `draft` is what the bundle's manifest says."""
    return rendered(CARD_WORDS, "card", recipe, draft, report, fit, run, UNUSUAL_PERCENTILE)


def probe_metrics(fit: ProbeFit, report: EvaluationReport) -> dict[str, JsonValue]:
    """What a manifest's `metrics` say of probes and test patients."""
    return {
        "probe_choices": dict(fit.choices.as_metrics()),
        "flags_without_probe": list(fit.too_few),
        "test": report.model_dump(mode="json"),
    }


def metrics_section(report: EvaluationReport) -> str:
    """What was measured on how many, as tables, and what was not and why."""
    return rendered(CARD_WORDS, "metrics", report).strip("\n")


def calibration_section(report: EvaluationReport, fit: ProbeFit) -> str:
    """How probabilities were calibrated, what they hold for, what comes with them, and how they did where measured."""
    return rendered(CARD_WORDS, "calibration", report, fit, UNUSUAL_PERCENTILE).strip("\n")


def echo_encoder_sentence(manifest: BundleManifest, *, trained_here: bool) -> str:
    """Where the echo encoder of a run is from, by the bundle that it was taken from."""
    if not trained_here:
        return f"Taken from the bundle {manifest.id}."
    metrics: dict[str, Any] = dict(manifest.metrics)
    first = f"Trained first, on {metrics['train_clips']} clips of the train patients"
    explained: dict[str, float] = metrics["val_r2"]
    if metrics.get("taught_by") == "clip":
        return f"{first}, to say {_said_of_clips(explained, metrics['val_views_named_right'])}."
    sentence = f"{first}, to regress the phenotypes of their studies from single clips"
    if "lvef_percent" not in explained:
        return f"{sentence}."
    return f"{sentence} (single validation clips explain {explained['lvef_percent']:.0%} of the variance of LVEF)."


def _said_of_clips(explained: Mapping[str, float], named_right: float | None) -> str:
    """`explained`: the share of variance by number."""
    taught = []
    if explained:
        mean = f"{fmean(explained.values()):.0%} of the variance on average"
        taught.append(f"{len(explained)} numbers, of which single validation clips explain {mean}")
    if named_right is not None:
        taught.append(f"the view's name, right for {named_right:.0%}")
    return f"of each clip what it shows itself and nothing else of its study ({', and '.join(taught)})"


@cache
def _words(file: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown of our own numbers and names
    )
    environment.filters["form"] = format
    environment.filters["quoted"] = shlex.quote
    environment.filters["toml"] = as_toml
    environment.filters["coded"] = coded
    return environment.get_template(file).module


def rendered(file: str, macro: str, *values: object) -> str:
    """What a macro of a file of words in this folder makes of some values, one line end at its end."""
    return str(getattr(_words(file), macro)(*values)).strip("\n") + "\n"
