"""What every 12-lead ECG has, measured on prepared windows: leads that agree, heartbeats, a direction of time.

An encoder may be blind to what it never needed; these few numbers are not. They survive preparation, which shifts and
scales each lead group alone, and use no labels.

Letters in tensor names: B batch, W windows, L leads, N samples, S numbers of one kind.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from inputs.records import STANDARD_LEADS
from inputs.specs import EcgSpec

_BANDS_HZ = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 200.0)
_REACH_MS, _STEP_MS = 440, 20
"""How far around a QRS complex its surroundings are followed: from before the P wave to the end of the T wave."""
_SHORTEST_S = 1.5
_TINY = 1e-6

SHAPE_SIZES = {"leads": 5 + 5, "texture": len(_BANDS_HZ) - 1 + 2, "direction": _REACH_MS // _STEP_MS}
"""How many numbers an EcgShape has of each kind."""


class EcgShape(NamedTuple):
    """leads_BS: do the leads fit together? texture_BS: rhythm and spectrum. direction_BS: changes sign with time."""

    leads_BS: Tensor
    texture_BS: Tensor
    direction_BS: Tensor


def describable(spec: EcgSpec) -> bool:
    """Whether windows of this specification hold what is measured: the twelve leads, and a heartbeat or two."""
    return set(spec.leads) == set(STANDARD_LEADS) and spec.window_samples / spec.rate_hz >= _SHORTEST_S


def describe_windows(windows_BWLN: Tensor, spec: EcgSpec) -> EcgShape:
    """Prepared windows (float32) to their shape, each ECG's windows taken together; `spec` must be `describable`."""
    signal = windows_BWLN - windows_BWLN.mean(dim=-1, keepdim=True)
    slope = signal[..., 2:] - signal[..., :-2]  # central, so that time running backwards only changes its sign
    steepness_BWN = _smooth(slope.square().mean(dim=2), 40, spec)
    size_BWN = _smooth(signal[..., 1:-1].square().mean(dim=2), 20, spec).sqrt()
    return EcgShape(
        _lead_agreement(signal, spec.leads),
        torch.cat([_bands(signal, spec), _peakedness(signal, steepness_BWN)], dim=1),
        _asymmetry_around_qrs(size_BWN, steepness_BWN, spec),
    )


def _lead_agreement(signal_BWLN: Tensor, leads: tuple[str, ...]) -> Tensor:
    """Einthoven's and Goldberger's laws, as far as separate scales of the lead groups let them be seen; then how alike
    neighbouring chest leads are.
    """
    lead = {name: signal_BWLN[:, :, row] for row, name in enumerate(leads)}
    one, two, three = lead["I"], lead["II"], lead["III"]
    left_over = [_left_over(one, three, -two), _left_over(lead["aVR"], lead["aVL"], lead["aVF"])]
    expected = (("aVR", -one - two), ("aVL", one - three), ("aVF", two + three))
    unlike = [torch.log10((1.0 - _correlation(lead[name], sum_)).clamp(min=0.0) + 1e-3) for name, sum_ in expected]
    chest = [lead[f"V{number}"] for number in range(1, 7)]
    alike = [torch.atanh(_correlation(a, b).clamp(-0.999, 0.999)) for a, b in pairwise(chest)]
    return torch.stack([*left_over, *unlike, *alike], dim=1)


def _left_over(*terms_BWN: Tensor) -> Tensor:
    """What remains of a sum that should vanish, as a share of its terms; the floor is what preparation alone leaves."""
    total = torch.stack(terms_BWN).sum(dim=0)
    return torch.log10(_spread(total) / (sum(map(_spread, terms_BWN)) + _TINY) + 1e-2)


def _spread(signal_BWN: Tensor) -> Tensor:
    return signal_BWN.square().mean(dim=(1, 2)).sqrt()


def _correlation(a_BWN: Tensor, b_BWN: Tensor) -> Tensor:
    return (a_BWN * b_BWN).mean(dim=(1, 2)) / (_spread(a_BWN) * _spread(b_BWN) + _TINY)


def _bands(signal_BWLN: Tensor, spec: EcgSpec) -> Tensor:
    """Share of the power in each frequency band, over all leads."""
    power_BK = torch.fft.rfft(signal_BWLN, dim=-1).abs().square().mean(dim=(1, 2))
    hz_K = torch.fft.rfftfreq(signal_BWLN.shape[-1], 1.0 / spec.rate_hz, device=signal_BWLN.device)
    total_B = power_BK.sum(dim=1).clamp(min=_TINY)
    # A product with 0 and 1, because choosing by a mask makes a GPU wait for the mask.
    inside_KS = torch.stack([(hz_K >= low) & (hz_K < high) for low, high in pairwise(_BANDS_HZ)], dim=1)
    share_BS = power_BK @ inside_KS.to(power_BK.dtype) / total_B[:, None]
    return torch.log10(share_BS + 1e-5)


def _peakedness(signal_BWLN: Tensor, steepness_BWN: Tensor) -> Tensor:
    """How much of a tracing happens in its heartbeats: kurtosis of the leads, and unevenness of the slope."""
    variance_BL = signal_BWLN.square().mean(dim=(1, 3))
    kurtosis_BL = signal_BWLN.pow(4).mean(dim=(1, 3)) / variance_BL.square().clamp(min=_TINY)
    uneven_B = steepness_BWN.square().mean(dim=(1, 2)) / steepness_BWN.mean(dim=(1, 2)).square().clamp(min=_TINY**2)
    return torch.stack([torch.log10(kurtosis_BL + 0.1).mean(dim=1), torch.log10(uneven_B + 0.1)], dim=1)


def _asymmetry_around_qrs(size_BWN: Tensor, steepness_BWN: Tensor, spec: EcgSpec) -> Tensor:
    """How much larger the tracing is some time after a QRS complex than as long before it, on a log scale.

    P comes before, T after, and T is larger. No beat is looked for: every sample counts as much as it is steep.
    """
    reach = round(_REACH_MS * spec.rate_hz / 1000)
    lags = [round(ms * spec.rate_hz / 1000) for ms in range(-_REACH_MS, _REACH_MS + 1, _STEP_MS)]
    inner = size_BWN.shape[-1] - 2 * reach
    weight_BWN = steepness_BWN[..., reach:-reach].square()
    total_B = weight_BWN.sum(dim=(1, 2)).clamp(min=_TINY**2)
    around = [(weight_BWN * size_BWN[..., reach + lag :][..., :inner]).sum(dim=(1, 2)) / total_B for lag in lags]
    typical_B = size_BWN.square().mean(dim=(1, 2)).sqrt().clamp(min=_TINY)
    profile_BK = torch.log10(torch.stack(around, dim=1) / typical_B[:, None] + 0.05)
    middle = len(lags) // 2
    return (profile_BK[:, middle + 1 :] - profile_BK[:, :middle].flip(1)) / 2


def _smooth(signal_BWN: Tensor, width_ms: float, spec: EcgSpec) -> Tensor:
    half = max(1, int(width_ms * spec.rate_hz / 2000))
    return F.avg_pool1d(signal_BWN, 2 * half + 1, 1, half, count_include_pad=False)
