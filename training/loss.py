"""The contrastive losses. Letters: B pairs of the (global) batch, D dimensions, M studies of a bank."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid, normalize


class StudyBank(NamedTuple):
    """Frozen study vectors that serve as further negatives of ECGs."""

    echo_MD: Tensor
    allowed_BM: Tensor
    """Whether study m may be a negative of the ECG of row b; none of the same patient may."""


def contrastive_loss(
    ecg_BD: Tensor,
    echo_BD: Tensor,
    *,
    temperature: float | Tensor,
    ecg_to_echo_weight: float = 0.5,
    bank: StudyBank | None = None,
) -> Tensor:
    """Symmetric cross-entropy over cosine similarity / temperature; row i of one side belongs to row i of the other.

    The whole batch serves as negatives in both directions, so a patient must not appear twice in it; a `bank` adds
    negatives from ECG to echo. Computed in float32 whatever autocast says. Source: CLIP (arXiv 2103.00020) as weighted
    by Echo2ECG (arXiv 2603.08505).
    """
    with torch.autocast(ecg_BD.device.type, enabled=False):
        ecg_BD = normalize(ecg_BD.float(), dim=-1)
        echo_BD = normalize(echo_BD.float(), dim=-1)
        logits_BB = ecg_BD @ echo_BD.T / temperature
        own_B = torch.arange(len(logits_BB), device=logits_BB.device)
        echo_to_ecg = cross_entropy(logits_BB.T, own_B)
        if bank is not None:
            bank_BM = ecg_BD @ normalize(bank.echo_MD.float(), dim=-1).T / temperature
            logits_BB = torch.cat([logits_BB, bank_BM.masked_fill(~bank.allowed_BM, -math.inf)], dim=1)
        ecg_to_echo = cross_entropy(logits_BB, own_B)
    return ecg_to_echo_weight * ecg_to_echo + (1 - ecg_to_echo_weight) * echo_to_ecg


def sigmoid_loss(ecg_BD: Tensor, echo_BD: Tensor, *, temperature: float | Tensor, bias: float | Tensor) -> Tensor:
    """Each of the B x B combinations is judged alone, as belonging together or not, by cosine / temperature + bias.

    The sum over all combinations, per pair of the batch. Computed in float32 whatever autocast says. Source: SigLIP
    (arXiv 2303.15343).
    """
    with torch.autocast(ecg_BD.device.type, enabled=False):
        logits_BB = normalize(ecg_BD.float(), dim=-1) @ normalize(echo_BD.float(), dim=-1).T / temperature + bias
        sign_BB = 2 * torch.eye(len(logits_BB), device=logits_BB.device) - 1
        return -logsigmoid(sign_BB * logits_BB).sum() / len(logits_BB)


class AlignmentLoss(nn.Module):
    """The loss of a run with whatever of it is learnt; without such options it has no parameters.

    `sigmoid` judges combinations one by one, with a learnt bias; it has no direction, so the weight does not count.
    A learnt temperature stays between 0.01 and 1, as CLIP's does below.
    """

    def __init__(
        self, *, temperature: float, learn_temperature: bool, ecg_to_echo_weight: float, sigmoid: bool
    ) -> None:
        super().__init__()
        self.ecg_to_echo_weight = ecg_to_echo_weight
        self.fixed_temperature = temperature
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature))) if learn_temperature else None
        # So that at first almost every combination is rightly taken for a wrong one.
        self.bias = nn.Parameter(torch.tensor(-10.0)) if sigmoid else None

    def temperature(self) -> float | Tensor:
        if self.log_temperature is None:
            return self.fixed_temperature
        with torch.no_grad():  # clamping the value instead would leave a parameter outside without a gradient
            self.log_temperature.clamp_(math.log(0.01), 0.0)
        return self.log_temperature.exp()

    def forward(self, ecg_BD: Tensor, echo_BD: Tensor, bank: StudyBank | None = None) -> Tensor:
        if self.bias is not None:
            return sigmoid_loss(ecg_BD, echo_BD, temperature=self.temperature(), bias=self.bias)
        return contrastive_loss(
            ecg_BD,
            echo_BD,
            temperature=self.temperature(),
            ecg_to_echo_weight=self.ecg_to_echo_weight,
            bank=bank,
        )
