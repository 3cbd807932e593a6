"""Epochs of batches with a validation score after each, checkpoints to go on from, and the best weights at the end.

It knows a module, an optimiser and what its callers hand it; what is trained, and on what, is their business.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from ground.errors import Refusal
from ground.progress import Progress, silent
from models.compare import first_difference
from training.engine.checkpoint import load_checkpoint, save_checkpoint
from training.engine.place import Place
from training.engine.ranks import ALONE, Ranks
from training.engine.schedule import Schedule, set_lr

_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class Score:
    """What an epoch is chosen by, higher is better, and by name what it is made of: the log has both."""

    value: float
    made_of: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective(Generic[_Batch]):
    """What a stage trains on and for.

    `batches(epoch)` must draw all randomness of its epoch from generators that it seeds by the epoch, torch's global
    one included. `backward(batch)` adds the gradient of a batch to the parameters and returns its loss; with several
    ranks both are the global batch's, so that all ranks make the same steps. `score()` is of the weights as they are
    then, higher is better. An epoch shows `items_per_epoch` of what `items` calls them.
    """

    stage: str
    """Its name in checkpoints, log and messages."""
    batches: Callable[[int], Iterable[_Batch]]
    backward: Callable[[_Batch], Tensor]
    score: Callable[[], float | Score]
    items_per_epoch: int
    items: str = "items"


@dataclass(frozen=True)
class FitResult:
    """How a run of epochs ended; the module holds the weights of `best_epoch` (counted from 0)."""

    best_epoch: int
    best_score: float
    epochs_run: int


def run_epochs(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective[_Batch],
    schedule: Schedule,
    place: Place,
    *,
    averaging: float = 0.0,
    progress: Progress = silent,
    ranks: Ranks = ALONE,
) -> FitResult:
    """Trains `module` until the schedule ends, or until its `patience` of epochs brought no better score.

    A run that was stopped and goes on from `place` ends with the weights of one that was not. Rank 0 alone scores and
    writes. With `averaging` above 0 a running mean of the weights is scored and kept instead of the last weights: each
    step leaves that share of it, less at first (exponential moving average).
    The caller's random state is put back. Refusal when the loss is no longer a number, or when what is in `place` are
    the checkpoints of a module of other sizes.
    """
    last, best = (place.folder / f"{objective.stage}-{which}.pt" for which in ("last", "best"))
    result, kept = _gone_on_from(last, module, optimizer)
    mean = _RunningMean(module, averaging, kept)
    total_steps = schedule.epochs * schedule.steps_per_epoch
    while result.epochs_run < schedule.epochs and result.epochs_run - 1 - result.best_epoch < schedule.patience:
        epoch = result.epochs_run
        values = _train_one_epoch(module, optimizer, objective, schedule, mean, epoch=epoch, progress=progress)
        module.eval()
        with mean.in_place(), torch.inference_mode():
            score = objective.score() if ranks.is_main else 0.0
            if isinstance(score, Score):
                values |= score.made_of
                score = score.value
            values["validation_score"] = ranks.from_main(score)
            better = result.best_epoch < 0 or values["validation_score"] > result.best_score
            if better and ranks.is_main:
                save_checkpoint(best, {"module": module.state_dict()})
        result = FitResult(
            best_epoch=epoch if better else result.best_epoch,
            best_score=values["validation_score"] if better else result.best_score,
            epochs_run=epoch + 1,
        )
        if ranks.is_main:
            state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "result": vars(result)}
            save_checkpoint(last, state | {"mean": mean.weights})
        if place.log is not None:
            place.log.write(objective.stage, epoch, values)
        numbers = f"loss {values['loss']:.4g}, {values['items_per_s']:.3g} {objective.items}/s"
        numbers += f", validation score {values['validation_score']:.4g}"
        done = (epoch + 1) * schedule.steps_per_epoch
        progress(done, total_steps, f"{objective.stage}, epoch {epoch + 1}: {numbers}")

    ranks.wait()
    module.load_state_dict(load_checkpoint(best)["module"])
    module.eval()
    return result


def _gone_on_from(
    last: Path, module: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[FitResult, dict[str, Tensor] | None]:
    """How far the run is whose last checkpoint this is, and its running mean; its weights are then in the module."""
    if not last.exists():
        return FitResult(best_epoch=-1, best_score=-math.inf, epochs_run=0), None
    state = load_checkpoint(last)
    difference = first_difference(module, {name: tuple(value.shape) for name, value in state["module"].items()})
    if difference:
        raise Refusal(
            "checkpoint_of_another",
            f"{last.name} is of another architecture: {difference}; --no-resume starts afresh",
        )
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return FitResult(**state["result"]), state.get("mean")  # checkpoints from before there was averaging have none


def _train_one_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective[_Batch],
    schedule: Schedule,
    mean: _RunningMean,
    *,
    epoch: int,
    progress: Progress,
) -> dict[str, float]:
    """Every batch of an epoch once; returns its mean loss and its speed."""
    started = time.monotonic()
    loss_sum, first = 0.0, epoch * schedule.steps_per_epoch
    module.train()
    with torch.random.fork_rng():
        for step, batch in enumerate(objective.batches(epoch), start=first):
            set_lr(optimizer.param_groups, schedule.factor(step))
            optimizer.zero_grad()
            loss = objective.backward(batch)
            optimizer.step()
            mean.add(step)
            loss_sum += loss.item()
            done = step + 1 - first
            speed = objective.items_per_epoch * done / schedule.steps_per_epoch / (time.monotonic() - started)
            numbers = f"loss {loss_sum / done:.4g}, {speed:.3g} {objective.items}/s"
            where = f"{objective.stage}, epoch {epoch + 1} of {schedule.epochs}"
            progress(step + 1, schedule.epochs * schedule.steps_per_epoch, f"{where}: {numbers}")
    seconds = time.monotonic() - started
    loss_mean = loss_sum / schedule.steps_per_epoch
    if not math.isfinite(loss_mean):
        raise Refusal(
            "loss_not_finite", f"the loss of {objective.stage} is no longer a number; lower the learning rate"
        )
    return {"loss": loss_mean, "items_per_s": objective.items_per_epoch / seconds}


class _RunningMean:
    """Exponential moving average of a module's weights (Polyak averaging); holds nothing where `keep` is 0."""

    def __init__(self, module: nn.Module, keep: float, weights: dict[str, Tensor] | None) -> None:
        self._module = module
        self._keep = keep
        current = {name: value.detach().clone() for name, value in module.state_dict().items()} if keep else {}
        for name, value in (weights or {}).items():
            current[name].copy_(value)
        self.weights = current

    def add(self, step: int) -> None:
        """Takes the weights after step `step`, counted from 0, into the mean."""
        keep = min(self._keep, (1 + step) / (10 + step))  # or the first, random weights would linger
        current = self._module.state_dict()
        for name, value in self.weights.items():
            value.lerp_(current[name].detach(), 1 - keep)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module holds the mean meanwhile, and its own weights again afterwards."""
        if not self._keep:
            yield
            return
        own = {name: value.detach().clone() for name, value in self._module.state_dict().items()}
        self._module.load_state_dict(self.weights)
        try:
            yield
        finally:
            self._module.load_state_dict(own)
