"""What the patches of an ECG add to an answer, as it is drawn and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PatchWeight:
    """A stretch of one lead, on the recording's clock. weight: -1 to 1, the largest of the ECG being 1 or -1."""

    lead: str
    start_s: float
    length_s: float
    weight: float


def lead_shares(weights: Sequence[PatchWeight]) -> list[tuple[str, float]]:
    """What each lead has of all sizes, the largest first; nothing where all are 0."""
    sizes: dict[str, float] = {}
    for patch in weights:
        sizes[patch.lead] = sizes.get(patch.lead, 0.0) + abs(patch.weight)
    total = sum(sizes.values())
    shares = [(lead, size / total) for lead, size in sizes.items()] if total else []
    return sorted(shares, key=lambda share: -share[1])
