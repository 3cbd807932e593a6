"""The published implementation as an oracle: its inputs and weights by seed, its outputs as stored numbers.

`data/published_numbers.npz` holds outputs of the published Echo2ECG code (commit 64c9610, fp32, CPU, eval mode) and
`data/published_components.json` the keys and shapes of its components. Inputs come from numpy streams keyed by
(seed, tag), weights from a stream keyed by the parameter's name, so that no checkpoint has to be stored; the stored
sha256 of both tell when numpy's streams change.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

DATA = Path(__file__).parent / "data"


class Published:
    """Inputs, weights and outputs of the published implementation."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = json.loads((DATA / "published_components.json").read_text())
        with np.load(DATA / "published_numbers.npz", allow_pickle=False) as stored:
            self.numbers = {key: stored[key] for key in stored.files}
        self.seed = int(self.numbers["seed"])

    def _stream(self, tag: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, tag])

    @cached_property
    def ecg_windows(self) -> torch.Tensor:
        return self.drawn_windows(4, tag=1)

    def drawn_windows(self, count: int, *, tag: int) -> torch.Tensor:
        """(count, 12, 1008): three sines per lead, with noise."""
        stream = self._stream(tag)
        time_s = np.arange(1008) / 400.0
        frequency_hz = stream.uniform(0.8, 12.0, size=(count, 12, 3))
        phase = stream.uniform(0, 2 * np.pi, size=(count, 12, 3))
        amplitude = stream.uniform(0.2, 1.0, size=(count, 12, 3))
        sines = np.sin(2 * np.pi * frequency_hz[..., None] * time_s + phase[..., None])
        waves = (amplitude[..., None] * sines).sum(axis=2)
        return torch.from_numpy((waves + 0.5 * stream.standard_normal((count, 12, 1008))).astype(np.float32))

    @cached_property
    def views(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of studies with 1, 3, 17 and 128 views."""
        return self.drawn_views(self.numbers["views_counts"], slots=128, tag=2)

    def drawn_views(self, counts: Iterable[int], *, slots: int, tag: int) -> tuple[torch.Tensor, torch.Tensor]:
        """View vectors (studies, slots, 512), zero where a study has no more, and the mask of present ones."""
        stream, counts = self._stream(tag), list(counts)
        views = np.zeros((len(counts), slots, 512), np.float32)
        present = np.zeros((len(counts), slots), bool)
        for i, count in enumerate(counts):
            views[i, :count] = stream.standard_normal((count, 512)).astype(np.float32)
            present[i, :count] = True
        return torch.from_numpy(views), torch.from_numpy(present)

    @cached_property
    def clips(self) -> torch.Tensor:
        return torch.from_numpy(self._stream(3).standard_normal((2, 3, 16, 224, 224), dtype=np.float32))

    def weights(self, component: str) -> dict[str, torch.Tensor]:
        shapes = self.components[component]["shapes"]
        return {key: torch.from_numpy(seeded_weight(f"{component}.{key}", tuple(shapes[key]))) for key in shapes}


def seeded_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter's values as a function of its full name; scales keep attention maps visibly uneven."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "pos_embed_x":
        return _time_table(shape[1] - 1, shape[2])
    x = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode()))).standard_normal(size=shape)
    if name.endswith("pos_embed_y.weight"):
        x *= 0.5
        x[0] = 0.0
    elif leaf in ("cls_token", "class_token"):
        x = 0.5 * x
    elif leaf.startswith("rel_pos_"):
        x = 0.1 * x
    elif len(shape) == 1 and "norm" in name and leaf == "weight":
        x = 1.0 + 0.1 * x
    elif len(shape) == 1:
        x = 0.05 * x
    else:
        gain = 1.5 if ".qkv." in name or leaf == "in_proj_weight" else 1.0
        x = gain / np.sqrt(float(np.prod(shape[1:]))) * x
    return np.ascontiguousarray(x.astype(np.float32))


def _time_table(rows: int, dim: int) -> np.ndarray:
    half = dim // 2
    rate = (1.0 / 10000.0 ** (np.arange(half, dtype=np.float32) / np.float32(half))).astype(np.float32)
    angle = np.outer(np.arange(rows, dtype=np.float32), rate).astype(np.float32)
    table = np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
    return np.concatenate([np.zeros((1, dim), np.float32), table])[None]
