"""Probes as a module: features of an ECG to probabilities and numbers.

Letters in tensor names: B batch, F features, C LVEF classes, Q SHD flags, K labels of the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.probes import Probes


class HeadOutput(NamedTuple):
    """Probabilities of the LVEF classes, of SHD, and of the flags in the order of `Probes.flag_names`.

    own_BK: of the user's own labels in the order of `Probes.own`, probabilities first and then numbers, in float64.
    """

    lvef_BC: Tensor | None
    shd_B: Tensor | None
    flags_BQ: Tensor
    own_BK: Tensor


class ProbeHeads(nn.Module):
    """Features (B, F) to probabilities.

    Standardising, the probes and their calibration are linear one after the other, so they are folded into one layer
    in float64: its first rows are LVEF, then SHD, then the flags, then the user's own yes-no labels. Numbers of the
    user's own have a layer that stays in float64: float32 would lose them beside a large mean, as of times in seconds.
    A flag about LVEF is brought between the classes that bound it. Where SHD covers its flags, its probability is the
    largest of its own and theirs.
    """

    number_weight: Tensor
    number_bias: Tensor

    def __init__(self, probes: Probes) -> None:
        super().__init__()
        yes_no, lvef, numbers = probes.yes_no, probes.lvef, probes.own_numbers.values()
        self.classes = 0 if lvef is None else len(lvef.bias_C)
        self.has_shd = probes.shd is not None
        self.flags = len(probes.flags)
        self.yes_no = len(yes_no)
        self.shd_covers_flags = probes.shd_covers_flags and bool(probes.flags)
        self.about_lvef = [
            (number, *flag.lvef_classes) for number, flag in enumerate(probes.flags.values()) if flag.lvef_classes
        ]

        def double(rows: Sequence[object]) -> Tensor:
            return torch.tensor(rows, dtype=torch.float64)

        std, mean = double(probes.feature_std_F), double(probes.feature_mean_F)
        of_lvef = [] if lvef is None else list(zip(lvef.weight_CF, lvef.bias_C, lvef.calibration.shift, strict=True))
        rows = [(weight_F, bias, 1.0 if lvef is None else lvef.calibration.scale, s) for weight_F, bias, s in of_lvef]
        rows += [(one.weight_F, one.bias, one.calibration.scale, one.calibration.shift[0]) for one in yes_no]
        scale, shift = double([row[2] for row in rows]), double([row[3] for row in rows])
        weight = double([row[0] for row in rows]).view(len(rows), len(mean)) / std
        bias = double([row[1] for row in rows]) - weight @ mean
        self.linear = nn.Linear(len(mean), len(rows) or 1)  # of numbers alone there is no row, and torch would warn
        self.linear.weight = nn.Parameter((weight * scale[:, None]).float(), requires_grad=False)
        self.linear.bias = nn.Parameter((bias * scale + shift).float(), requires_grad=False)
        number_weight = double([one.weight_F for one in numbers]).view(len(numbers), len(mean)) / std
        self.register_buffer("number_weight", number_weight)
        self.register_buffer("number_bias", double([one.bias for one in numbers]) - number_weight @ mean)

    def forward(self, features_BF: Tensor) -> HeadOutput:
        logits = self.linear(features_BF)
        yes_no = logits[:, self.classes :].sigmoid()
        numbers = features_BF.double() @ self.number_weight.T + self.number_bias
        lvef_BC = logits[:, : self.classes].softmax(dim=1) if self.classes else None
        shd_B = yes_no[:, 0] if self.has_shd else None
        flags_BQ = yes_no[:, self.has_shd : self.has_shd + self.flags]
        own_BK = torch.cat([yes_no[:, self.has_shd + self.flags :].double(), numbers], dim=1)
        for number, wholly, partly in self.about_lvef:
            assert lvef_BC is not None
            floor_B, ceiling_B = lvef_BC[:, :wholly].sum(dim=1), lvef_BC[:, :partly].sum(dim=1)
            flags_BQ[:, number] = flags_BQ[:, number].clamp(floor_B, ceiling_B)
        if self.shd_covers_flags and shd_B is not None:
            shd_B = torch.maximum(shd_B, flags_BQ.amax(dim=1))
        return HeadOutput(lvef_BC, shd_B, flags_BQ, own_BK)
