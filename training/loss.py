"""The contrastive loss. Letters: B pairs of the (global) batch, D dimensions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def contrastive_loss(
    ecg_BD: Tensor,
    echo_BD: Tensor,
    *,
    temperature: float | Tensor,
    ecg_to_echo_weight: float = 0.5,
) -> Tensor:
    """Symmetric cross-entropy over cosine similarity / temperature; row i of one side belongs to row i of the other.

    The whole batch serves as negatives in both directions, so a patient must not appear twice in it. Computed in
    float32 whatever autocast says. Source: CLIP (arXiv 2103.00020) as weighted by Echo2ECG (arXiv 2603.08505).
    """
    with torch.autocast(ecg_BD.device.type, enabled=False):
        ecg_BD = normalize(ecg_BD.float(), dim=-1)
        echo_BD = normalize(echo_BD.float(), dim=-1)
        logits_BB = ecg_BD @ echo_BD.T / temperature
        own_B = torch.arange(len(logits_BB), device=logits_BB.device)
        ecg_to_echo, echo_to_ecg = cross_entropy(logits_BB, own_B), cross_entropy(logits_BB.T, own_B)
    return ecg_to_echo_weight * ecg_to_echo + (1 - ecg_to_echo_weight) * echo_to_ecg
