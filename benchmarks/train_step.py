"""What fusing, folding and not recomputing save on one step of the alignment, at the paper's size, measured in one run.

    python -m benchmarks.train_step [--device D] [--batch N] [--threads N] [--repeats N] [--compile]

published: the step as the method was published: a linear layer, `nn.MultiheadAttention` with its own projections and
           its weights returned, another linear layer; every block recomputed in the backward pass; plain AdamW.
ours:      `training.objectives.alignment.global_backward` and its optimiser, as a training run calls them.

Both start from the same weights and take turns on the same batch, 16 view vectors to a study. Before anything is timed
their losses and gradients must agree. Printed: the median step, pairs per second and how many times faster than the
published step in float32. On a CPU also how many times less processor time, which other work on the machine disturbs
less; on CUDA memory, and the share of what one large bfloat16 product reaches on that device.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone uses
from torch.utils.checkpoint import checkpoint

from models.architecture import Architecture, EcgArchitecture
from models.towers import EcgTower, EchoTower
from training.engine.ranks import ALONE
from training.objectives.alignment import (
    Batch,
    alignment_optimizer,
    compiled,
    global_backward,
)
from training.recipes import Recipe, paper

VIEWS = 16
LARGEST_GRADIENT_DIFFERENCE = 1e-3
"""Relative to a parameter's gradient, in the Euclidean norm."""


def published_vectors(ecg_tower: EcgTower, echo_tower: EchoTower, batch: Batch) -> tuple[Tensor, Tensor]:
    """The same towers, computed as published."""
    encoder = ecg_tower.ecg_encoder
    cls_11D, positions_TD = encoder.positions()
    embedded_BTD = encoder.patch_embed(batch.windows_BLN) + positions_TD
    x_BTD = torch.cat([cls_11D.expand(len(embedded_BTD), -1, -1), embedded_BTD], dim=1)
    for block in encoder.blocks:
        x_BTD = checkpoint(published_block, block, x_BTD, use_reentrant=False)
    ecg_BD = ecg_tower.ecg_alignment_global_token(ecg_tower.token_aggregator(x_BTD))

    views_BVP = echo_tower.echo_projection_for_agg(batch.views_BVD)
    present_BV1 = batch.present_BV[:, :, None]
    mean_B1P = (views_BVP * present_BV1).sum(dim=1, keepdim=True) / present_BV1.sum(dim=1, keepdim=True)
    pool = echo_tower.echo_view_aggregator.aggregator.mha
    token_B1P, _weights = pool(mean_B1P, views_BVP, views_BVP, key_padding_mask=~batch.present_BV)
    return ecg_BD, echo_tower.echo_alignment_global_token(token_B1P[:, 0])


def published_block(block: Any, x_BTD: Tensor) -> Tensor:
    attention = block.attn
    q, k, v = attention.qkv(block.norm1(x_BTD)).chunk(3, dim=2)
    mixed_BTD, _weights = attention.mha(q, k, v, need_weights=True)
    x_BTD = x_BTD + attention.proj(mixed_BTD)
    mixed: Tensor = x_BTD + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x_BTD))))
    return mixed


def published_loss(ecg_BD: Tensor, echo_BD: Tensor, recipe: Recipe) -> Tensor:
    logits_BB = F.normalize(ecg_BD, dim=1) @ F.normalize(echo_BD, dim=1).T / recipe.aligning.temperature
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return 0.5 * F.cross_entropy(logits_BB, own_B) + 0.5 * F.cross_entropy(logits_BB.T, own_B)


class PublishedStep:
    """One plain step on its own copy of the towers."""

    def __init__(self, towers: tuple[EcgTower, EchoTower], recipe: Recipe) -> None:
        self.towers, self.recipe = copy.deepcopy(towers), recipe
        groups = [
            {key: value for key, value in group.items() if key in ("params", "lr", "weight_decay")}
            for group in alignment_optimizer(*self.towers, recipe).param_groups
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=recipe.aligning.betas)

    def backward(self, batch: Batch) -> Tensor:
        self.optimizer.zero_grad()
        loss = published_loss(*published_vectors(*self.towers, batch), self.recipe)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def __call__(self, batch: Batch) -> float:
        loss = self.backward(batch)
        self.optimizer.step()
        return loss.item()


class OurStep:
    """One step of a training run on its own copy of the towers."""

    def __init__(self, towers: tuple[EcgTower, EchoTower], recipe: Recipe, device: torch.device) -> None:
        self.towers, self.recipe = copy.deepcopy(towers), recipe
        ecg_tower, self.echo_tower = self.towers
        self.ecg_tower = compiled(ecg_tower, device) if recipe.aligning.compile else ecg_tower
        self.optimizer = alignment_optimizer(*self.towers, recipe)

    def backward(self, batch: Batch) -> Tensor:
        self.optimizer.zero_grad()
        return global_backward(self.ecg_tower, self.echo_tower, batch, self.recipe, ALONE)

    def __call__(self, batch: Batch) -> float:
        loss = self.backward(batch)
        self.optimizer.step()
        return loss.item()


def gradients(step: PublishedStep | OurStep) -> Iterator[Tensor]:
    return (p.grad for p in chain(*(tower.parameters() for tower in step.towers)) if p.grad is not None)


def check_agreement(published: PublishedStep, ours: OurStep, batch: Batch) -> str:
    """One sentence on how close both are; ends the run when they are not the same step."""
    losses = [step.backward(batch).item() for step in (published, ours)]
    worst = max(
        ((mine - theirs).norm() / theirs.norm()).item()
        for mine, theirs in zip(gradients(ours), gradients(published), strict=True)
    )
    difference = abs(losses[0] - losses[1])
    sentence = f"loss differs by {difference:.1e}, gradients by {worst:.1e} of their norm at most"
    if difference > 2e-5 or worst > LARGEST_GRADIENT_DIFFERENCE:
        sys.exit(f"these are not the same step: {sentence}")
    return sentence


def random_batch(pairs: int, sizes: Architecture, device: torch.device) -> Batch:
    windows = torch.randn(pairs, sizes.ecg.leads, sizes.ecg.window_samples)
    views = torch.randn(pairs, VIEWS, sizes.view_dim)
    present = torch.arange(VIEWS) < torch.randint(1, VIEWS + 1, (pairs, 1))
    return Batch(windows.to(device), views.to(device), present.to(device), [pairs])


class Seconds(NamedTuple):
    wall: float
    processor: float


def seconds(work: Callable[[], object], device: torch.device) -> Seconds:
    wait(device)
    start = time.perf_counter(), time.process_time()
    work()
    wait(device)
    return Seconds(time.perf_counter() - start[0], time.process_time() - start[1])


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def flop_per_pair(sizes: EcgArchitecture) -> float:
    """Floating-point operations of a step, forward and twice that backward, in the encoder's matrix products.

    Everything else is below one percent of these.
    """
    T, D = 1 + sizes.leads * sizes.patches_per_lead, sizes.embed_dim
    products = 2 * T * D * (4 * D + 2 * sizes.mlp_ratio * D)
    attention = 4 * T * T * D
    return 3.0 * sizes.depth * (products + attention)


def reachable_flop_per_s(device: torch.device) -> float:
    """What one bfloat16 product of 8192 x 8192 matrices reaches here."""
    side = 8192
    left, right = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
    times = [seconds(lambda: left @ right, device).wall for _ in range(20)]
    return 2 * side**3 / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="a training step: ours against the published one")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, help="pairs; 16 on a CPU and 256 on CUDA unless said otherwise")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="measure torch.compile beside the others")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    on_cuda = device.type == "cuda"
    pairs = arguments.batch or (256 if on_cuda else 16)

    # Without the random draws of training, so that both steps can be compared number by number.
    still = paper().architecture.ecg.model_copy(update={"drop_path": 0.0})
    sizes = paper().architecture.model_copy(update={"ecg": still, "pool_dropout": 0.0})
    recipe = paper().model_copy(update={"architecture": sizes})
    towers = EcgTower(sizes).to(device), EchoTower(sizes).to(device)
    batch = random_batch(pairs, sizes, device)

    published, ours = PublishedStep(towers, recipe), OurStep(towers, recipe, device)
    where = torch.cuda.get_device_name(device) if on_cuda else f"CPU, {arguments.threads} thread(s)"
    print(f"one step of the alignment at the paper's size, {pairs} pairs of {VIEWS} views, {where}")
    print(check_agreement(published, ours, batch))

    steps: dict[str, PublishedStep | OurStep] = {"published, fp32": published, "ours, fp32": ours}
    steps["ours, bf16"] = OurStep(towers, recipe.aligned_with(bf16=True), device)
    if arguments.compile:
        steps["ours, bf16, compiled"] = OurStep(towers, recipe.aligned_with(bf16=True, compile=True), device)
    times: dict[str, list[Seconds]] = {name: [] for name in steps}
    memory: dict[str, int] = {}
    for step in steps.values():
        step(batch)  # first calls allocate, choose kernels and compile
    for _ in range(arguments.repeats):
        for name, step in steps.items():
            step.optimizer.zero_grad()
            if on_cuda:
                torch.cuda.reset_peak_memory_stats(device)
                before = torch.cuda.memory_allocated(device)
            times[name].append(seconds(partial(step, batch), device))
            step.optimizer.zero_grad()
            if on_cuda:
                memory[name] = torch.cuda.max_memory_allocated(device) - before

    reachable = reachable_flop_per_s(device) if on_cuda else 0.0
    medians = {name: Seconds(*(statistics.median(t) for t in zip(*times[name], strict=True))) for name in steps}
    slowest = medians["published, fp32"]
    last_columns = f"{'peak':>8} {'memory':>9}" if on_cuda else f"{'processor':>12}"
    print(f"{'':<22} {'step':>10} {'pairs/s':>9} {'faster':>8} {last_columns}")
    for name, (wall, processor) in medians.items():
        line = f"{name:<22} {wall:>8.3f} s {pairs / wall:>9.1f} {slowest.wall / wall:>7.2f}x"
        if on_cuda:
            share = flop_per_pair(still) * pairs / wall / reachable
            print(f"{line} {100 * share:>6.1f} % {memory[name] / 2**30:>6.1f} GB")
        else:
            print(f"{line} {slowest.processor / processor:>6.2f}x less")


if __name__ == "__main__":
    main()
