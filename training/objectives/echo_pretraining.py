"""Trains an echo encoder on the training patients' clips, for recipes whose echo encoder is not a published one.

What it is taught of each clip is the business of `training.objectives.echo_clips`. The head that answers is thrown
away, view vectors are brought to mean 0 and variance 1, and the encoder is then frozen.

Letters: N clips, A columns of targets, B clips of a batch, T frames, H rows, W columns, C colours, D numbers of a view
vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inputs.specs import EchoSpec
from models.device import Machine
from models.echo_encoder import EchoEncoder
from training.engine.loop import FitResult, Objective, run_epochs
from training.engine.optimizer import adamw
from training.engine.place import Place
from training.engine.schedule import Schedule
from training.objectives.echo_clips import Lessons
from training.recipes import EchoPretraining, Recipe

_CLIPS_FOR_STATISTICS = 2048


@dataclass(frozen=True)
class ClipSet:
    """Clips before normalisation, (T, H, W, C) uint8 each, and what they are to answer, NaN where unknown."""

    clips_THWC: Sequence[NDArray[np.uint8]]
    targets_NA: NDArray[np.float32]


@dataclass(frozen=True)
class PretrainingResult:
    """Of single validation clips: see `Lessons.r2` and `Lessons.named_right`."""

    fit: FitResult
    r2: dict[str, float]
    views_named_right: float | None


def pretrain_echo_encoder(
    encoder: EchoEncoder,
    lessons: Lessons,
    train: ClipSet,
    val: ClipSet,
    recipe: Recipe,
    place: Place,
    machine: Machine,
) -> PretrainingResult:
    """Trains `encoder` in place and leaves it with the weights of the epoch that answers best of validation clips."""
    assert recipe.echo_pretraining is not None
    settings, seed, device = recipe.echo_pretraining, recipe.seed, machine.device
    view_dim = recipe.architecture.view_dim
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = nn.Sequential(nn.LayerNorm(view_dim), nn.Linear(view_dim, lessons.answers))
    model = nn.Sequential(encoder, *head).to(device)
    optimizer = adamw(model, settings)
    normalise = _Normaliser(recipe.echo, device)
    clips = len(train.clips_THWC)
    steps = math.ceil(clips / settings.batch_size)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        draw = np.random.default_rng([seed, epoch])
        torch.manual_seed(int(draw.integers(2**62)))
        for rows in np.array_split(draw.permutation(clips), steps):
            disturbed = np.stack([_disturbed(train.clips_THWC[i], settings, draw) for i in rows])
            yield normalise(torch.from_numpy(disturbed)), torch.from_numpy(train.targets_NA[rows]).to(device)

    def backward(batch: tuple[Tensor, Tensor]) -> Tensor:
        loss = lessons.loss(model(batch[0]), batch[1])
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def answer_val() -> Tensor:
        edges = range(0, len(val.clips_THWC) + settings.batch_size, settings.batch_size)
        parts = [val.clips_THWC[a:b] for a, b in pairwise(edges)]
        return torch.cat([model(normalise(torch.from_numpy(np.stack(part)))).cpu() for part in parts if len(part)])

    def score() -> float:
        return -float(lessons.loss(answer_val(), torch.from_numpy(val.targets_NA)))

    objective = Objective("pretrain echo", batches, backward, score, items_per_epoch=clips, items="clips")
    schedule = Schedule(settings.epochs, steps, settings.warmup_epochs, floor=0.02, patience=settings.patience)
    result = run_epochs(model, optimizer, objective, schedule, place, progress=machine.progress)
    with torch.inference_mode():
        said, target_NA = answer_val(), torch.from_numpy(val.targets_NA)
        r2, named_right = lessons.r2(said, target_NA), lessons.named_right(said, target_NA)
        some = np.linspace(0, clips - 1, min(clips, _CLIPS_FOR_STATISTICS)).round().astype(int)
        batches_of = np.array_split(some, math.ceil(len(some) / settings.batch_size))
        stacks = (np.stack([train.clips_THWC[i] for i in rows]) for rows in batches_of)
        _standardise(encoder, torch.cat([encoder(normalise(torch.from_numpy(stack))) for stack in stacks]))
    return PretrainingResult(result, r2, named_right)


def _standardise(encoder: EchoEncoder, views_ND: Tensor) -> None:
    """Folds into the last layer what brings vectors like these to mean 0 and variance 1 over all channels.

    Attention pooling takes views as they come: long vectors would make it choose one view, and what all views share
    would fill the embedding.
    """
    mean_D = views_ND.mean(dim=0)
    scale = 1 / (views_ND - mean_D).square().mean().sqrt().clamp(min=1e-6)
    last = cast("nn.Linear", encoder.head[0])
    last.weight.copy_(last.weight * scale)
    last.bias.copy_((last.bias - mean_D) * scale)


class _Normaliser:
    """(B, T, H, W, C) uint8 to (B, C, T, H, W) float32 on the device, as preparation does it."""

    def __init__(self, spec: EchoSpec, device: torch.device) -> None:
        self.device = device
        self.mean = torch.tensor(spec.mean, device=device)
        self.std = torch.tensor(spec.std, device=device)

    def __call__(self, clips_BTHWC: Tensor) -> Tensor:
        clips = (clips_BTHWC.to(self.device).float() - self.mean) / self.std
        return clips.permute(0, 4, 1, 2, 3).contiguous()


def _disturbed(clip_THWC: NDArray[np.uint8], settings: EchoPretraining, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Moved by some pixels, black where nothing comes in, and made brighter or darker."""
    rows, columns = clip_THWC.shape[1:3]
    reach = settings.shift_pixels
    padded = np.pad(clip_THWC, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    down, right = draw.integers(0, 2 * reach + 1, size=2)
    gain = math.exp(draw.normal(0, settings.gain_sd))
    levels = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
    moved: NDArray[np.uint8] = levels[padded[:, down : down + rows, right : right + columns]]
    return moved
