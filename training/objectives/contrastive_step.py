"""Forward and backward of one contrastive batch, whole or in chunks that fit a small memory.

Chunks cannot be trained one after the other: the loss needs every vector of the batch. So all chunks are embedded
without a graph, the loss of the whole batch gives the gradient on each vector, and then each chunk is embedded again,
with a graph this time, and takes its vectors' gradients back. Source: GradCache (Gao et al. 2021, arXiv 2101.06983).

Letters: B pairs of the batch, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

_Chunk = TypeVar("_Chunk")


def backward(
    embed: Callable[[_Chunk], tuple[Tensor, Tensor]],
    chunks: Sequence[_Chunk],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    device: torch.device,
) -> Tensor:
    """Adds the gradient of `loss_of(ecg_BD, echo_BD)` to every parameter behind `embed`; returns the loss.

    `embed` gives both sides of a chunk's pairs; it may draw from torch's global generators of the CPU and `device`,
    and draws the same both times. One chunk is embedded once.
    """
    if len(chunks) == 1:
        outputs = embed(chunks[0])
        loss, gradients = _loss_and_gradients(loss_of, *outputs)
        torch.autograd.backward(outputs, gradients)
        return loss
    states: list[list[Tensor]] = []
    sides: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for chunk in chunks:
            states.append(_random_state(device))
            sides.append(embed(chunk))
    ecg_BD, echo_BD = (torch.cat(side) for side in zip(*sides, strict=True))
    loss, (ecg_grad_BD, echo_grad_BD) = _loss_and_gradients(loss_of, ecg_BD, echo_BD)
    sizes = [len(ecg) for ecg, _ in sides]
    cached = zip(torch.split(ecg_grad_BD, sizes), torch.split(echo_grad_BD, sizes), strict=True)
    for chunk, state, gradients in zip(chunks, states, cached, strict=True):
        _restore_random_state(state, device)
        torch.autograd.backward(embed(chunk), gradients)
    return loss


def _loss_and_gradients(
    loss_of: Callable[[Tensor, Tensor], Tensor], ecg_BD: Tensor, echo_BD: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The loss and its gradients on both sides, cut off from whatever made them."""
    ecg_BD, echo_BD = ecg_BD.detach().requires_grad_(), echo_BD.detach().requires_grad_()
    loss = loss_of(ecg_BD, echo_BD)
    loss.backward()  # type: ignore[no-untyped-call]
    assert ecg_BD.grad is not None
    assert echo_BD.grad is not None
    return loss.detach(), (ecg_BD.grad, echo_BD.grad)


def _random_state(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _restore_random_state(state: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


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
