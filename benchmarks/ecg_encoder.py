"""What folding and fused attention save on the ECG encoder, at the paper's size, measured in one run.

    python benchmarks/ecg_encoder.py [--threads N] [--repeats N]

plain: a linear layer, `nn.MultiheadAttention` with its own projections and its weights returned, another linear layer,
       as the method was published.
ours:  one projection on each side (`EcgEncoder.folded()`), fused attention, large batches in chunks as a bundle does.

The versions take turns on the same input and weights. Printed: the median per ECG, how many times faster, and the
largest difference between the tokens of both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from models.architecture import paper
from models.bundle import ecgs_per_chunk
from models.ecg_encoder import EcgEncoder

BATCHES = (1, 8, 32)


def plain_tokens(encoder: EcgEncoder, windows_BLN: Tensor) -> Tensor:
    """The same encoder with its attention computed as published."""
    embedded_BTD = encoder.patch_embed(windows_BLN)
    cls_11D, positions_TD = encoder.positions()
    x_BTD = torch.cat([cls_11D.expand(len(windows_BLN), -1, -1), embedded_BTD + positions_TD], dim=1)
    for block in cast("list[Any]", encoder.blocks):
        attention = block.attn
        q, k, v = attention.qkv(block.norm1(x_BTD)).chunk(3, dim=2)
        mixed_BTD, _weights = attention.mha(q, k, v, need_weights=True)
        x_BTD = x_BTD + attention.proj(mixed_BTD)
        x_BTD = x_BTD + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x_BTD))))
    return x_BTD


def in_chunks(encoder: EcgEncoder, windows_BLN: Tensor, rows: int) -> Tensor:
    return torch.cat([encoder(chunk) for chunk in torch.split(windows_BLN, rows)])


def seconds(work: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="ECG encoder: folded and fused against plain")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    encoder = EcgEncoder(paper().ecg).eval()
    folded = encoder.folded()
    rows = ecgs_per_chunk(paper(), torch.device("cpu"))
    print(f"ECG encoder at the paper's size, fp32, {arguments.threads} CPU thread(s), chunks of {rows}")
    print(f"{'batch':>5} {'plain':>12} {'ours':>12} {'faster':>8} {'difference':>12}")
    for batch in BATCHES:
        windows = torch.randn(batch, 12, 1008)
        versions: dict[str, Callable[[], Tensor]] = {
            "plain": partial(plain_tokens, encoder, windows),
            "ours": partial(in_chunks, folded, windows, rows),
        }
        with torch.inference_mode():
            difference = (versions["plain"]() - versions["ours"]()).abs().max().item()
            times: dict[str, list[float]] = {name: [] for name in versions}
            for _ in range(arguments.repeats):
                for name, work in versions.items():
                    times[name].append(seconds(work))
        plain, ours = (statistics.median(times[name]) / batch for name in ("plain", "ours"))
        print(f"{batch:>5} {1e3 * plain:>9.1f} ms {1e3 * ours:>9.1f} ms {plain / ours:>7.2f}x {difference:>12.1e}")


if __name__ == "__main__":
    main()
