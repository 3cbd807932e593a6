"""A bundle's card in the form that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from models.bundle import BundleError, read_manifest
from models.bundle.files import check_card
from models.bundle.manifest import CARD


def card_text(bundle: Path, style: Literal["markdown", "tripod", "chai"], report: Path | None) -> str:
    """The whole text. BundleError for a bundle without a card of its own; see `bundle_facts` for `report`."""
    if style == "markdown":
        manifest, _ = read_manifest(bundle)
        if CARD not in manifest.files:
            raise BundleError("this bundle has no card")
        check_card(bundle, manifest)
        return (bundle / CARD).read_text(encoding="utf-8")
    from training.evaluation.bundle_facts import bundle_facts
    from training.evaluation.chai import chai_card
    from training.evaluation.tripod import tripod_card

    facts = bundle_facts(bundle, report)
    return tripod_card(facts) if style == "tripod" else chai_card(facts)
