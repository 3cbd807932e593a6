"""Pre-trains an ECG encoder on ECGs alone: from one window it says what the whole record's median beat and rhythm are.

Those numbers hold most of what an ECG tells of a heart, and they need neither a label nor an echo. Hidden patches, the
other start from ECGs alone, are filled in from their neighbours, which teaches shapes and little of what differs
between people.

Letters: E ECGs, B windows, L leads, N samples, T tokens (CLS first), C channels, M numbers of a record.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.device import Machine
from models.ecg_encoder import EcgEncoder
from models.towers import TokenAggregator
from training.data.batches import random_windows
from training.data.median_beat import BeatSpace
from training.engine.loop import FitResult, Objective, run_epochs
from training.engine.optimizer import adamw
from training.engine.place import Place
from training.engine.schedule import Schedule
from training.recipes import OwnBeatPretraining


class OwnBeat(nn.Module):
    """An encoder under the towers' own way to a feature vector, and one linear head for the numbers of the record."""

    def __init__(self, encoder: EcgEncoder, numbers: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.token_aggregator = TokenAggregator(encoder.sizes.embed_dim)
        self.head = nn.Linear(encoder.sizes.embed_dim, numbers)

    def forward(self, windows_BLN: Tensor) -> Tensor:
        """(B, M), of variance 1 over the train ECGs."""
        said_BM: Tensor = self.head(self.token_aggregator(self.encoder(windows_BLN)))
        return said_BM


def pretrain_own_beat(
    encoder: EcgEncoder,
    train_LN: Sequence[NDArray[np.float32]],
    val_LN: Sequence[NDArray[np.float32]],
    settings: OwnBeatPretraining,
    place: Place,
    machine: Machine,
    *,
    rate_hz: float,
    seed: int,
) -> FitResult:
    """Trains `encoder` in place and leaves it, on the device, with the weights of the best epoch on validation ECGs.

    train_LN, val_LN: prepared records (L, N) of any length from a window on. The score is the share of the numbers'
    variance, weighed by `BeatSpace.weights`, that windows of the validation records explain. A finished run in `place`
    is loaded, an unfinished one goes on.
    """
    device, samples = machine.device, encoder.sizes.window_samples
    space = BeatSpace.of(train_LN, rate_hz, settings.components)
    train_EM, val_EM = (torch.from_numpy(space.vectors(part)).to(device) for part in (train_LN, val_LN))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = OwnBeat(encoder, space.width).to(device)
    steps = math.ceil(len(train_LN) / settings.batch_size)

    weight_M = torch.from_numpy(space.weights / space.weights.mean()).float().to(device)

    def error(said_BM: Tensor, true_BM: Tensor) -> Tensor:
        return ((said_BM - true_BM).square() * weight_M).mean()

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        draw = np.random.default_rng([seed, epoch])
        torch.manual_seed(int(draw.integers(2**62)))
        for rows in np.array_split(draw.permutation(len(train_LN)), steps):
            windows = random_windows([train_LN[i] for i in rows], samples, draw)
            yield torch.from_numpy(windows).to(device), train_EM[torch.from_numpy(rows).to(device)]

    def backward(batch: tuple[Tensor, Tensor]) -> Tensor:
        loss = error(model(batch[0]), batch[1])
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def score() -> float:
        draw = np.random.default_rng(seed)  # the same windows after every epoch
        said = []
        for start in range(0, len(val_LN), settings.batch_size):
            windows = random_windows(val_LN[start : start + settings.batch_size], samples, draw)
            said.append(model(torch.from_numpy(windows).to(device)))
        return 1.0 - float(error(torch.cat(said), val_EM) / error(torch.zeros_like(val_EM), val_EM))

    objective = Objective("pretrain ecg", batches, backward, score, items_per_epoch=len(train_LN), items="ECGs")
    schedule = Schedule(settings.epochs, steps, settings.warmup_epochs, settings.lr_floor, settings.patience)
    optimizer = adamw(model, settings)
    return run_epochs(model, optimizer, objective, schedule, place, progress=machine.progress)
