import math
from pathlib import Path

import numpy as np
import pytest
import torch

from training.objectives.contrastive_step import contrastive_loss

PUBLISHED = np.load(Path(__file__).parents[1] / "data" / "published.npz")


def naive_loss(ecg, echo, temperature, weight):
    total = 0.0
    for i in range(len(ecg)):
        cosine = [
            [float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for b in others]
            for a, others in ((ecg[i], echo), (echo[i], ecg))
        ]
        forward, backward = (
            -row[i] / temperature + math.log(sum(math.exp(c / temperature) for c in row)) for row in cosine
        )
        total += weight * forward + (1 - weight) * backward
    return total / len(ecg)


@pytest.mark.parametrize(
    ("key", "temperature", "weight"),
    [
        ("clip_loss_t0.5_l0.5", 0.5, 0.5),
        ("clip_loss_t0.1_l0.75", 0.1, 0.75),
        ("clip_loss_t0.07_l0.5_learnable", torch.tensor(0.07), 0.5),
    ],
)
def test_loss_equals_the_published_implementation(key, temperature, weight):
    ecg, echo = torch.from_numpy(PUBLISHED["loss_ecg"]), torch.from_numpy(PUBLISHED["loss_echo"])
    loss = contrastive_loss(ecg, echo, temperature=temperature, ecg_to_echo_weight=weight)
    assert loss.item() == pytest.approx(float(PUBLISHED[key]), abs=2e-5)


@pytest.mark.parametrize(("temperature", "weight"), [(0.5, 0.5), (0.05, 0.2), (1.3, 1.0)])
def test_loss_equals_a_naive_twin(temperature, weight):
    draw = np.random.default_rng(3)
    ecg, echo = draw.standard_normal((2, 11, 7))
    loss = contrastive_loss(
        torch.from_numpy(ecg), torch.from_numpy(echo), temperature=temperature, ecg_to_echo_weight=weight
    )
    assert loss.item() == pytest.approx(naive_loss(ecg, echo, temperature, weight), rel=1e-5)


def test_loss_stays_in_float32_under_bf16_autocast():
    ecg, echo = torch.from_numpy(PUBLISHED["loss_ecg"]), torch.from_numpy(PUBLISHED["loss_echo"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = contrastive_loss(ecg, echo, temperature=0.5)
    assert inside.dtype == torch.float32
    assert inside.item() == contrastive_loss(ecg, echo, temperature=0.5).item()
