"""What an echo encoder is taught of single clips before it is frozen, and what its answers cost.

By clip: what that clip shows, its view's name and its quality, and nothing else of its study, where the cohort says so.
Views then stay as different as they are. By study, where it does not: the phenotypes of the whole study, of which a
view learns to ignore what it cannot show.

Letters: N clips, S studies, B clips of a batch, P numbers, K names, A columns of targets, W answers of the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from ground.findings import LV_PHENOTYPES, MEASUREMENTS

PHENOTYPES = (*LV_PHENOTYPES, *MEASUREMENTS)
_VIEW, _QUALITY = "view", "quality"
_VIEW_WEIGHT = _QUALITY_WEIGHT = 0.2
"""The facts together have 1. Cross-entropy of a dozen names begins at about 2.5, the Huber loss of standardised numbers
at about 0.4: so the name begins as heavy as all facts, and quality as one of a few."""
_LARGEST_TARGET_SD = 3.0
"""A few extreme hearts must not outweigh all others."""

TaughtBy = Literal["clip", "study"]


@dataclass(frozen=True)
class Numbers:
    """Standardised numbers, an answer and a column of targets each, NaN where unknown: Huber loss over the known."""

    names: tuple[str, ...]
    weight: float = 1.0

    @property
    def columns(self) -> int:
        return len(self.names)

    def loss(self, said_BP: Tensor, target_BP: Tensor) -> Tensor:
        known_BP = torch.isfinite(target_BP)
        loss_BP = F.smooth_l1_loss(said_BP, target_BP.nan_to_num(), reduction="none")
        return (loss_BP * known_BP).sum() / known_BP.sum().clamp(min=1)


@dataclass(frozen=True)
class Names:
    """One of some names: an answer for each and one column of targets, its place among them, NaN where unknown.
    Cross-entropy over the known."""

    names: tuple[str, ...]
    weight: float = 1.0
    columns: int = 1

    def loss(self, said_BK: Tensor, target_B1: Tensor) -> Tensor:
        known_B = torch.isfinite(target_B1[:, 0])
        loss_B = F.cross_entropy(said_BK, target_B1[:, 0].nan_to_num().long(), reduction="none")
        return (loss_B * known_B).sum() / known_B.sum().clamp(min=1)


@dataclass(frozen=True)
class Lessons:
    """Answers and columns of targets stand in the order of the parts."""

    parts: tuple[Numbers | Names, ...]

    @property
    def answers(self) -> int:
        return sum(len(part.names) for part in self.parts)

    def loss(self, said_BW: Tensor, target_BA: Tensor) -> Tensor:
        """Weighted sum over the parts; a part of which nothing is known costs nothing."""
        losses = [part.weight * part.loss(said, target) for part, said, target in self._each(said_BW, target_BA)]
        return torch.stack(losses).sum()

    def r2(self, said_NW: Tensor, target_NA: Tensor) -> dict[str, float]:
        """The share of each number's variance that is explained, at best 1, of those that vary among the known."""
        found: dict[str, float] = {}
        for part, said_NP, target_NP in self._each(said_NW, target_NA):
            if isinstance(part, Numbers):
                found |= _explained(part.names, said_NP.numpy(), target_NP.numpy())
        return found

    def named_right(self, said_NW: Tensor, target_NA: Tensor) -> float | None:
        """The share of clips whose view is named right, among those whose name is known; None where none is."""
        for part, said_NK, target_N1 in self._each(said_NW, target_NA):
            known_N = torch.isfinite(target_N1[:, 0])
            if isinstance(part, Names) and known_N.any():
                return float((said_NK.argmax(dim=1) == target_N1[:, 0])[known_N].float().mean())
        return None

    def _each(self, said_BW: Tensor, target_BA: Tensor) -> list[tuple[Numbers | Names, Tensor, Tensor]]:
        said = torch.split(said_BW, [len(part.names) for part in self.parts], dim=1)
        targets = torch.split(target_BA, [part.columns for part in self.parts], dim=1)
        return list(zip(self.parts, said, targets, strict=True))


@dataclass(frozen=True)
class Taught:
    """Lessons and what each clip is to answer; no lessons where the train clips differ in nothing."""

    by: TaughtBy
    lessons: Lessons
    targets_NA: NDArray[np.float32]


def taught_by_clips(facts: pd.DataFrame, train_N: NDArray[np.bool_]) -> Taught:
    """`facts`: a row for each clip with `view`, empty where unknown, and numbers, NaN where the clip shows none.

    Numbers are standardised by the train clips. A view that no train clip has is unknown.
    """
    names = [name for name in facts.columns if name not in (_VIEW, _QUALITY)]
    parts: list[Numbers | Names] = []
    targets = []
    for chosen, weight in ((names, 1.0), ([_QUALITY] if _QUALITY in facts else [], _QUALITY_WEIGHT)):
        varying, values_NP = _standardised(facts[chosen], train_N)
        if varying:
            parts.append(Numbers(tuple(varying), weight))
            targets.append(values_NP)
    views = tuple(sorted({*facts.loc[train_N, _VIEW]} - {""}))
    if len(views) > 1:
        place_N = pd.Index(views).get_indexer(pd.Index(facts[_VIEW]))
        parts.append(Names(views, _VIEW_WEIGHT))
        targets.append(np.where(place_N >= 0, place_N, np.nan).astype(np.float32)[:, None])
    together_NA = np.concatenate([np.empty((len(facts), 0), np.float32), *targets], axis=1)
    return Taught("clip", Lessons(tuple(parts)), together_NA)


def taught_by_studies(studies: pd.DataFrame, train_S: NDArray[np.bool_], study_N: NDArray[np.int64]) -> Taught:
    """`study_N`: the row of each clip's study. Phenotypes are standardised by the train studies."""
    names, values_SP = _standardised(studies[[name for name in PHENOTYPES if name in studies.columns]], train_S)
    return Taught("study", Lessons((Numbers(tuple(names)),)), values_SP[study_N])


def _standardised(table: pd.DataFrame, train: NDArray[np.bool_]) -> tuple[list[str], NDArray[np.float32]]:
    """Names and standardised values of the columns that vary among the `train` rows; NaN where unknown."""
    values = table.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[train]
    varies = [bool(np.isfinite(column).sum() >= 2 and np.nanstd(column) > 0) for column in known.T]
    values, known = values[:, varies], known[:, varies]
    standard = (values - np.nanmean(known, axis=0)) / np.nanstd(known, axis=0)
    clipped = np.clip(standard, -_LARGEST_TARGET_SD, _LARGEST_TARGET_SD).astype(np.float32)
    return [name for name, keep in zip(table.columns, varies, strict=True) if keep], clipped


def _explained(names: Sequence[str], said_NP: NDArray[np.float32], target_NP: NDArray[np.float32]) -> dict[str, float]:
    r2 = {}
    for name, said_N, target_N in zip(names, said_NP.T, target_NP.T, strict=True):
        known_N = np.isfinite(target_N)
        if known_N.any() and np.var(target_N[known_N]) > 0:
            residual = np.mean((target_N[known_N] - said_N[known_N]) ** 2)
            r2[name] = float(1 - residual / np.var(target_N[known_N]))
    return r2
