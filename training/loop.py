"""Epochs with a validation score after each, checkpoints to go on from, and the best weights at the end.

It knows a module, an optimiser and two functions; what is trained, and on what, is its callers' business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from training.checkpoint import load_checkpoint, save_checkpoint
from training.progress import Progress, Report
from training.run_log import RunLog


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
    train_epoch: Callable[[int], dict[str, float]],
    score: Callable[[], float],
    *,
    epochs: int,
    patience: int,
    folder: Path,
    log: RunLog,
    report: Report,
) -> FitResult:
    """Trains `module` until `epochs`, or until `patience` epochs brought no better score (higher is better).

    `train_epoch(epoch)` makes one pass and returns numbers to log; it must draw all its randomness from generators
    that it seeds by the epoch, torch's global one included. Then a run that was stopped and resumed from `folder`
    ends with the weights of one that was not. The caller's random state is put back.
    """
    last, best = folder / f"{stage}-last.pt", folder / f"{stage}-best.pt"
    result = FitResult(best_epoch=-1, best_score=-math.inf, epochs_run=0)
    if last.exists():
        state = load_checkpoint(last)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        result = FitResult(**state["result"])

    while result.epochs_run < epochs and result.epochs_run - 1 - result.best_epoch < patience:
        epoch = result.epochs_run
        module.train()
        with torch.random.fork_rng():
            values = train_epoch(epoch)
        module.eval()
        with torch.inference_mode():
            current = score()
        better = current > result.best_score or result.best_epoch < 0
        if better:
            save_checkpoint(best, {"module": module.state_dict()})
        result = FitResult(
            best_epoch=epoch if better else result.best_epoch,
            best_score=current if better else result.best_score,
            epochs_run=epoch + 1,
        )
        save_checkpoint(
            last, {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "result": vars(result)}
        )
        values = values | {"validation_score": current}
        log.write(stage, epoch, values)
        report(Progress(stage, epoch + 1, epochs, values))

    module.load_state_dict(load_checkpoint(best)["module"])
    module.eval()
    return result
