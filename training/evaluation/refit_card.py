"""The model card of a bundle whose probes alone were fitted here; its words are in `refit_card.md.j2`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from models.bundle import CARD, BundleDraft, check_card, read_manifest
from models.ood import UNUSUAL_PERCENTILE
from training.evaluation.card import rendered
from training.evaluation.evaluate import EvaluationReport
from training.probes.fit import ProbeFit

_OF_THE_ENCODERS = (
    "What it is made of",
    "What it was trained on",
    "How to make it again",
    "Where each component is from",
    "The files",
    "To know",
)
"""Sections of a card, of a training run or of an import, that stay true of the encoders."""


def refit_card(
    draft: BundleDraft, report: EvaluationReport, fit: ProbeFit, source_card: str, *, cohort: str, out: str
) -> str:
    """Markdown. `draft` is what the bundle's manifest says, `cohort` and `out` are the names of the folders.

    What `source_card`, of the bundle that gave the encoders, says of them and of their licences is carried on word for
    word.
    """
    sections = _sections(source_card)
    of_encoders = {heading: sections[heading] for heading in _OF_THE_ENCODERS if heading in sections}
    return rendered(
        "refit_card.md.j2",
        "card",
        *(draft, report, fit, of_encoders, sections.get("Licences"), cohort, out, UNUSUAL_PERCENTILE),
    )


def card_of_source(bundle_dir: Path) -> str:
    """The card of a bundle; empty where it has none. BundleError where it is not the one it was written with."""
    manifest, _ = read_manifest(bundle_dir)
    if CARD not in manifest.files:
        return ""
    check_card(bundle_dir, manifest)
    return (bundle_dir / CARD).read_text(encoding="utf-8")


def _sections(card: str) -> Mapping[str, str]:
    """The text under each heading of the second and third level; lines of a code block are no headings."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    in_code = False
    for line in card.splitlines():
        in_code ^= line.startswith("```")
        level, _, heading = line.partition(" ")
        if level in ("##", "###") and not in_code:
            lines = found.setdefault(heading, [])
        else:
            lines.append(line)
    return {heading: "\n".join(lines).strip("\n") for heading, lines in found.items()}
