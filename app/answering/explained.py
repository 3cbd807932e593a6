"""Which patches of an answered ECG speak for one number of its answer: made when somebody asks. Knows no HTTP.

Only what the maps were tested for on simulated ECGs is asked of them: see `docs/experiments.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.answering.pipeline import AnsweredEcg
from app.answering.snapshots import Snapshot
from app.refusals import EcgOfAnotherModel
from ground.errors import Refusal
from outputs.patches import PatchWeight

TARGETS = ("lvef_percent", "lvef_lowest", "match")
"""Maps of SHD did not pass: those of random weights were not other enough."""


class NotExplained(Refusal):
    """There is no map of this, for a reason that the sentence says."""

    def __init__(self, sentence: str) -> None:
        super().__init__("not_explained", sentence)


@dataclass(frozen=True, eq=False)
class Explained:
    """What each patch that the model saw, as far as it is drawn, adds to one target.

    value and zero: the target of the ECG, and of flat lines at the leads' own levels: what is added is, nearly, their
    difference.
    """

    weights: tuple[PatchWeight, ...]
    value: float
    zero: float


def targets_of(snapshot: Snapshot, ecg: AnsweredEcg) -> tuple[str, ...]:
    """Those that there are maps of, for this ECG and the model that is served now; none of a withheld one."""
    embedder = snapshot.embedder
    if (
        ecg.verdict is None
        or ecg.facts.windows_WLN is None
        or ecg.bundle_sha256 != embedder.sha256
        or "predictions" not in embedder.gives
    ):
        return ()
    found = embedder.explainer().targets(match=ecg.verdict.embedding_D is not None)
    return tuple(target for target in TARGETS if target in found)


def explained(
    snapshot: Snapshot, ecg: AnsweredEcg, target: str, study_id: str | None, go_on: Callable[[], None]
) -> Explained:
    """Takes seconds, in which `go_on` is called some sixty times; what that raises ends it.

    study_id: the study of `match`. Raises EcgOfAnotherModel and NotExplained.
    """
    embedder, windows_WLN, tracing = snapshot.embedder, ecg.facts.windows_WLN, ecg.facts.tracing
    if ecg.bundle_sha256 != embedder.sha256:
        raise EcgOfAnotherModel
    if windows_WLN is None or tracing is None:
        raise NotExplained("This ECG is too long for a map, or has no answer that anything could speak for.")
    if target not in targets_of(snapshot, ecg):
        raise NotExplained("There is no map of this in what the model says.")
    study_BD = None
    if target == "match":
        generation = snapshot.searchable
        card = generation.catalogue.card(study_id or "")
        if card is None:
            raise NotExplained("The study of this map is not in the index.")
        study_BD = generation.vector(card.row_id)[None]
    explainer = embedder.explainer()
    explainer.rows = 4 * len(windows_WLN)  # one point of the path at a time: with gradients more would be much memory
    found = explainer.attribution(windows_WLN[None], study_BD, asked=(target,), go_on=go_on)
    map_WLP = found.map_BTWLP[0, 0]
    most = float(np.abs(map_WLP).max()) or 1.0
    ends_s_P = [*found.patch_s_P[1:].tolist(), ecg.facts.window_s]
    weights = tuple(
        PatchWeight(lead, window_s + start_s, end_s - start_s, float(map_WLP[w, row, p]) / most)
        for w, (window_s, _) in enumerate(tracing.windows_s)
        if window_s < tracing.start_s + tracing.drawn_s
        for row, lead in enumerate(embedder.ecg.leads)
        for p, (start_s, end_s) in enumerate(zip(found.patch_s_P.tolist(), ends_s_P, strict=True))
    )
    return Explained(weights, float(found.value_BT[0, 0]), float(found.zero_BT[0, 0]))
