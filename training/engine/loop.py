"""Epochs of batches with a validation score after each, checkpoints to go on from, and the best weights at the end.

It knows a module, an optimiser and what its callers hand it; what is trained, and on what, is their business.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ground.errors import Refusal
from ground.progress import Progress
from models.compare import first_difference
from training.engine.checkpoint import load_checkpoint, save_checkpoint
from training.engine.ranks import ALONE, Ranks
from training.engine.run_log import RunLog
from training.engine.schedule import Schedule, set_lr

_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class FitResult:
    """How a run of epochs ended; the module holds the weights of `best_epoch` (counted from 0)."""

    best_epoch: int
    best_score: float
    epochs_run: int


def run_epochs(
    stage: str,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterable[_Batch]],
    backward: Callable[[_Batch], Tensor],
    score: Callable[[], float],
    *,
    schedule: Schedule,
    patience: int,
    averaging: float = 0.0,
    items_per_epoch: int,
    items: str = "items",
    folder: Path,
    log: RunLog | None,
    progress: Progress,
    ranks: Ranks = ALONE,
) -> FitResult:
    """Trains `module` until the schedule ends, or until `patience` epochs brought no better score (higher is better).

    `backward(batch)` adds the gradient of a batch to the parameters and returns its loss; with several `ranks` both are
    the global batch's, so that all ranks make the same steps. Rank 0 alone scores and writes.
    `batches(epoch)` must draw all randomness of its epoch from generators that it seeds by the epoch, torch's global
    one included. Then a run that was stopped and goes on from `folder` ends with the weights of one that was not.
    With `averaging` above 0 a running mean of the weights is scored and kept instead of the last weights: each step
    leaves that share of it, less at first (exponential moving average).
    The caller's random state is put back. Raises ValueError when the loss is no longer a number, or when what is in
    `folder` are the checkpoints of a module of other sizes.
    """
    last, best = folder / f"{stage}-last.pt", folder / f"{stage}-best.pt"
    result = FitResult(best_epoch=-1, best_score=-math.inf, epochs_run=0)
    kept = None
    if last.exists():
        state = load_checkpoint(last)
        difference = first_difference(module, {name: tuple(value.shape) for name, value in state["module"].items()})
        if difference:
            raise Refusal(
                "checkpoint_of_another",
                f"{last.name} is of another architecture: {difference}; --no-resume starts afresh",
            )
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        result = FitResult(**state["result"])
        kept = state.get("mean")  # checkpoints from before there was averaging have none
    mean = _RunningMean(module, averaging, kept)

    total_steps = schedule.epochs * schedule.steps_per_epoch
    while result.epochs_run < schedule.epochs and result.epochs_run - 1 - result.best_epoch < patience:
        epoch = result.epochs_run
        started = time.monotonic()
        loss_sum = 0.0
        module.train()
        with torch.random.fork_rng():
            for step, batch in enumerate(batches(epoch), start=epoch * schedule.steps_per_epoch):
                set_lr(optimizer.param_groups, schedule.factor(step))
                optimizer.zero_grad()
                loss = backward(batch)
                optimizer.step()
                mean.add(step)
                loss_sum += loss.item()
                done = step + 1 - epoch * schedule.steps_per_epoch
                speed = items_per_epoch * done / schedule.steps_per_epoch / (time.monotonic() - started)
                numbers = f"loss {loss_sum / done:.4g}, {speed:.3g} {items}/s"
                progress(step + 1, total_steps, f"{stage}, epoch {epoch + 1} of {schedule.epochs}: {numbers}")
        seconds = time.monotonic() - started
        values = {"loss": loss_sum / schedule.steps_per_epoch, "items_per_s": items_per_epoch / seconds}
        if not math.isfinite(values["loss"]):
            raise Refusal("loss_not_finite", f"the loss of {stage} is no longer a number; lower the learning rate")

        module.eval()
        with mean.in_place(), torch.inference_mode():
            values["validation_score"] = ranks.from_main(score() if ranks.is_main else 0.0)
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
        if log is not None:
            log.write(stage, epoch, values)
        numbers = f"loss {values['loss']:.4g}, {values['items_per_s']:.3g} {items}/s"
        numbers += f", validation score {values['validation_score']:.4g}"
        progress((epoch + 1) * schedule.steps_per_epoch, total_steps, f"{stage}, epoch {epoch + 1}: {numbers}")

    ranks.wait()
    module.load_state_dict(load_checkpoint(best)["module"])
    module.eval()
    return result


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
