import math
from pathlib import Path

import numpy as np
import pytest
import torch

from training.loss import AlignmentLoss, StudyBank, contrastive_loss, sigmoid_loss

PUBLISHED = np.load(Path(__file__).parent / "data" / "published.npz")


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


def test_a_bank_adds_allowed_negatives_from_ecg_to_echo_alone():
    draw = np.random.default_rng(5)
    ecg, echo, bank = draw.standard_normal((6, 7)), draw.standard_normal((6, 7)), draw.standard_normal((9, 7))
    allowed = draw.random((6, 9)) < 0.5
    allowed[0] = False
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ecg, echo, bank)]
    expected = 0.0
    for i in range(6):
        own = unit[0][i] @ unit[1][i] / 0.2
        seen = [unit[0][i] @ e / 0.2 for e in unit[1]]
        seen += [unit[0][i] @ unit[2][m] / 0.2 for m in range(9) if allowed[i, m]]
        back = [unit[1][i] @ e / 0.2 for e in unit[0]]
        expected += 0.7 * (np.log(np.exp(seen).sum()) - own) + 0.3 * (np.log(np.exp(back).sum()) - own)
    tensors = [torch.from_numpy(x) for x in (ecg, echo, bank)]
    given = StudyBank(tensors[2], torch.from_numpy(allowed))
    loss = contrastive_loss(tensors[0], tensors[1], temperature=0.2, ecg_to_echo_weight=0.7, bank=given)
    assert loss.item() == pytest.approx(expected / 6, rel=1e-5)


def test_sigmoid_loss_equals_a_naive_twin():
    draw = np.random.default_rng(6)
    ecg, echo = draw.standard_normal((2, 5, 7))
    expected = 0.0
    for i, a in enumerate(ecg):
        for j, b in enumerate(echo):
            logit = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) / 0.3 - 1.5
            expected += math.log(1 + math.exp(-logit if i == j else logit))
    loss = sigmoid_loss(torch.from_numpy(ecg), torch.from_numpy(echo), temperature=0.3, bias=-1.5)
    assert loss.item() == pytest.approx(expected / 5, rel=1e-5)


def test_a_learnt_temperature_has_the_gradient_of_a_finite_difference_and_keeps_its_bounds():
    ecg, echo = torch.from_numpy(PUBLISHED["loss_ecg"]), torch.from_numpy(PUBLISHED["loss_echo"])
    head = AlignmentLoss(temperature=0.2, learn_temperature=True, ecg_to_echo_weight=0.5, sigmoid=False)
    head(ecg, echo).backward()
    above, below = (contrastive_loss(ecg, echo, temperature=0.2 * math.exp(d)).item() for d in (0.01, -0.01))
    assert head.log_temperature.grad.item() == pytest.approx((above - below) / 0.02, rel=1e-2)
    with torch.no_grad():
        head.log_temperature.fill_(-9.0)
    assert head.temperature().item() == pytest.approx(0.01)
    assert not list(
        AlignmentLoss(temperature=1, learn_temperature=False, ecg_to_echo_weight=1, sigmoid=False).parameters()
    )
