"""A bundle of random weights to evaluate."""

import numpy as np
import torch
from tiny import draft_of

from models.bundle import without, write_bundle
from models.device import Machine
from models.echo_encoder import EchoEncoder
from models.probes import Calibration, LvefProbe, Probes, ShdProbe
from models.towers import EcgTower, EchoTower

CPU = Machine.named("cpu", workers=0)


def random_bundle(folder, micro_recipe, *, with_probes, echo=True, absent=()):
    """Of random weights; `absent` are components that the bundle lacks."""
    sizes, draw = micro_recipe.architecture, np.random.default_rng(0)

    def row():
        return tuple(draw.normal(size=sizes.features_dim).tolist())

    shd = ShdProbe(weight_F=row(), bias=0.0, calibration=Calibration(shift=(0.0,)), threshold=0.4)
    probes = Probes(
        feature_mean_F=row(),
        feature_std_F=(1.0,) * sizes.features_dim,
        lvef=LvefProbe(weight_CF=(row(), row(), row()), bias_C=(0.0,) * 3, calibration=Calibration(shift=(0.0,) * 3)),
        shd=shd,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        towers = {"ecg_tower": EcgTower(sizes), "echo_encoder": EchoEncoder(sizes.echo, sizes.view_dim)}
        towers["echo_tower"] = EchoTower(sizes)
    without(towers["ecg_tower"], absent)
    if not echo:
        towers |= {"echo_encoder": None, "echo_tower": None}
    probes = probes if with_probes else None
    draft = draft_of(micro_recipe, id="random", absent=absent)
    write_bundle(folder, draft, **towers, probes=probes, card="Random.\n")
    return folder
