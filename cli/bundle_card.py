"""A bundle's card in the form that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from models.bundle import BundleError, read_manifest, read_probes
from models.bundle.files import check_card
from models.bundle.manifest import CARD
from models.lacking import lacking_parts, lacking_sentence


def card_text(bundle: Path, style: Literal["markdown", "tripod", "chai"], report: Path | None) -> str:
    """The whole text, and what the bundle lacks by what is known today, which its own card cannot say.

    BundleError for a bundle without a card of its own; see `bundle_facts` for `report`.
    """
    if style == "markdown":
        manifest, _ = read_manifest(bundle)
        if CARD not in manifest.files:
            raise BundleError("this bundle has no card")
        check_card(bundle, manifest)
        lacks = lacking_parts(read_probes(bundle, manifest))
        said = f"\n## What its answers lack\n\n{lacking_sentence(lacks)}\n" if lacks else ""
        return (bundle / CARD).read_text(encoding="utf-8") + said
    from training.evaluation.bundle_facts import bundle_facts
    from training.evaluation.chai import chai_card
    from training.evaluation.tripod import tripod_card

    facts = bundle_facts(bundle, report)
    return tripod_card(facts) if style == "tripod" else chai_card(facts)
