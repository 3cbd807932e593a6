"""Augmentations of prepared ECG windows, batched, with every random draw an explicit argument.

Letters: B windows, L leads, N samples, K positive frequencies below Nyquist.
Source: arXiv 2603.08505 after OTiS; strengths and order as measured on the published implementation.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class Augmentation(BaseModel):
    """How windows are disturbed in training, in the order of the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fourier_probability: float = Field(default=0.5, ge=0, le=1)
    fourier_strength: float = Field(default=0.075, ge=0)
    """Share of a full random phase that the Fourier surrogate turns each frequency by."""
    jitter_strength: float = Field(default=0.6, ge=0)
    jitter_sd: float = Field(default=0.2, ge=0)
    rescale_mean: float = 1.0
    rescale_sd: float = Field(default=0.5, ge=0)
    time_flip_probability: float = Field(default=0.33, ge=0, le=1)
    sign_flip_probability: float = Field(default=0.33, ge=0, le=1)


def fourier_surrogate(x_BLN: Tensor, uniform_BK: Tensor, *, strength: float) -> Tensor:
    """Turns frequency k of every lead by `strength` x 2 pi x uniform_k; DC and Nyquist stay. Works in float64."""
    samples = x_BLN.shape[-1]
    spectrum = torch.fft.rfft(x_BLN.double(), dim=-1)
    angle_BK = strength * 2 * math.pi * uniform_BK.double()
    turn_BK = torch.polar(torch.ones_like(angle_BK), angle_BK)
    turned = spectrum.clone()
    turned[..., 1 : 1 + turn_BK.shape[-1]] *= turn_BK[:, None, :]
    surrogate_BLN: Tensor = torch.fft.irfft(turned, n=samples, dim=-1)
    return surrogate_BLN.to(x_BLN.dtype)


def positive_frequencies(samples: int) -> int:
    """Frequencies strictly between DC and Nyquist."""
    return (samples - 1) // 2


def jitter(x_BLN: Tensor, noise_BLN: Tensor, *, strength: float) -> Tensor:
    """Multiplicative noise: x + strength x noise."""
    return x_BLN + strength * x_BLN * noise_BLN


def rescale(x_BLN: Tensor, factor_B: Tensor) -> Tensor:
    """One factor for a whole window; it can be negative."""
    return x_BLN * factor_B[:, None, None]


def time_flip(x_BLN: Tensor, which_B: Tensor) -> Tensor:
    return torch.where(which_B[:, None, None], x_BLN.flip(-1), x_BLN)


def sign_flip(x_BLN: Tensor, which_B: Tensor) -> Tensor:
    return torch.where(which_B[:, None, None], -x_BLN, x_BLN)


def augment(x_BLN: Tensor, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """All augmentations in the published order. `generator` must live on the device of `x_BLN`."""
    batch, _, samples = x_BLN.shape

    def uniform(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.rand(shape, generator=generator, device=x_BLN.device, dtype=dtype)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=x_BLN.device)

    chosen_B = torch.nonzero(uniform(batch) < settings.fourier_probability).squeeze(1)
    if len(chosen_B):
        phases = uniform(len(chosen_B), positive_frequencies(samples), dtype=torch.float64)
        x_BLN = x_BLN.clone()
        x_BLN[chosen_B] = fourier_surrogate(x_BLN[chosen_B], phases, strength=settings.fourier_strength)
    x_BLN = jitter(x_BLN, settings.jitter_sd * normal(*x_BLN.shape), strength=settings.jitter_strength)
    x_BLN = rescale(x_BLN, settings.rescale_mean + settings.rescale_sd * normal(batch))
    x_BLN = time_flip(x_BLN, uniform(batch) < settings.time_flip_probability)
    return sign_flip(x_BLN, uniform(batch) < settings.sign_flip_probability)
