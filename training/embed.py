"""Towers in evaluation: prepared ECGs and view vectors to unit vectors, for the validation score inside the loop.

The finished bundle does the same for serving (`models.bundle.Bundle`); a test holds the two together.
Letters: E ECGs, S studies, W windows, L leads, N samples, V views, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from inputs.ecg_prepare import ecg_windows
from inputs.specs import EcgSpec
from models.aligned import EcgTower, EchoTower
from training.dataset import pad_views

_BATCH = 32


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
