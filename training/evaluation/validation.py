"""Towers in evaluation: unit vectors of prepared ECGs and of studies, and the validation score made of them.

The finished bundle does the same for serving (`models.bundle.Bundle`); a test holds the two together.
Letters: E ECGs, S studies, W windows, L leads, N samples, V views, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from inputs.ecg.prepare import ecg_windows
from inputs.specs import EcgSpec
from models.towers import EcgTower, EchoTower
from training.data.batches import PairedArrays, pad_views
from training.engine.loop import Score
from training.evaluation.retrieval import (
    phenotype_pairs,
    phenotype_tolerance,
    random_average_precision,
    retrieval_metrics,
    score_queries,
)
from training.recipes import Recipe

HUBS_OF_AN_IDEAL_RANKER = 0.30
"""What the most popular tenth of the studies takes of all first-ten places where a ranking knows the joint distribution
of ECG and echo facts, in four or more directions: at most this, measured on simulated patients. A tenth is no hub."""
_BATCH = 32


def validation_score(
    ecg_tower: EcgTower,
    echo_tower: EchoTower,
    pairs: PairedArrays,
    phenotypes_SP: NDArray[np.float64],
    recipe: Recipe,
    device: torch.device,
) -> Score:
    """How well an ECG finds studies of like phenotype, where a place that hubs take beyond an ideal ranker's is chance.

    Mean average precision (mAP) alone chose collapsed epochs: two directions, one of them LVEF, rank well early, while
    a tenth of the studies stands first for nearly every ECG and other phenotypes are lost. Such a study is found
    whoever asks. So what mAP has beyond a random ranking counts by the share of first-ten places that is not a hub's,
    over the share that an ideal ranker leaves: with that share `h`, and an ideal ranker's `i`,
    chance + (mAP - chance) * min(1, (1 - h) / (1 - i)).
    Retrieval of the exact pair would be noisier on few patients and rewards telling people apart, which is not the aim.
    """
    ecg_ED = embed_ecgs(ecg_tower, pairs.signals_LN, recipe.ecg, device)
    study_SD = embed_studies(echo_tower, pairs.views_VD, recipe.echo.max_views, device)
    precisions, chances = [], []
    for value_S in phenotypes_SP.T:
        known_P = np.isfinite(value_S[pairs.study_P])
        ecg_P, ecg_R = np.unique(pairs.ecg_P[known_P], return_inverse=True)
        study_P, study_R = np.unique(pairs.study_P[known_P], return_inverse=True)
        value_R = value_S[pairs.study_P[known_P]]
        tolerance = phenotype_tolerance(study_R, value_R)
        relevant = phenotype_pairs(ecg_R, study_R, study_R, value_R, tolerance)
        precisions.append(retrieval_metrics(ecg_ED[ecg_P] @ study_SD[study_P].T, relevant).mean_average_precision)
        chances.append(random_average_precision(relevant))
    similarity_ES = ecg_ED @ study_SD.T
    hub_share = score_queries(similarity_ES, np.zeros(similarity_ES.shape, bool)).hub_share()
    assert hub_share is not None
    return discounted(float(np.mean(precisions)), float(np.mean(chances)), hub_share)


def discounted(mean_average_precision: float, chance: float, hub_share: float) -> Score:
    """See `validation_score`. A ranking below chance is not made better by its hubs."""
    gain = mean_average_precision - chance
    kept = min(1.0, (1 - hub_share) / (1 - HUBS_OF_AN_IDEAL_RANKER)) if gain > 0 else 1.0
    made_of = {"map": mean_average_precision, "map_of_chance": chance, "hub_share": hub_share}
    return Score(chance + gain * kept, made_of)


def embed_ecgs(
    tower: EcgTower, signals_LN: Sequence[NDArray[np.float32]], spec: EcgSpec, device: torch.device
) -> NDArray[np.float32]:
    """Unit vectors (E, D); the unit vectors of several windows are averaged and brought back to unit length."""
    rows = []
    for part in chunks(signals_LN, _BATCH):
        windows = [ecg_windows(signal, spec) for signal in part]
        counts = [len(w) for w in windows]
        unit = normalize(tower(torch.from_numpy(np.concatenate(windows)).to(device))[1].float(), dim=1)
        rows += [normalize(piece.mean(dim=0), dim=0) for piece in torch.split(unit, counts)]
    return torch.stack(rows).cpu().numpy()


def embed_studies(
    tower: EchoTower, views_VD: Sequence[NDArray[np.float32]], max_views: int, device: torch.device
) -> NDArray[np.float32]:
    """Unit vectors (S, D)."""
    rows = []
    for part in chunks(views_VD, _BATCH):
        padded, present = pad_views(part, max_views)
        aligned = tower(torch.from_numpy(padded).to(device), torch.from_numpy(present).to(device)).aligned_BD
        rows.append(normalize(aligned.float(), dim=1))
    return torch.cat(rows).cpu().numpy()


def chunks(items: Sequence[NDArray[np.float32]], size: int) -> Iterator[Sequence[NDArray[np.float32]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
