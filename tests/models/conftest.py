"""Fixtures of the model tests: the published implementation, and small bundles with random weights."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from published_implementation import Published

from inputs.specs import EcgSpec, EchoSpec
from models.architecture import demo, paper
from models.bundle import BundleDraft, write_bundle
from models.echo_encoder import EchoEncoder
from models.labels import LabelDefinitions
from models.probes import Calibration, LvefProbe, Probes, ShdProbe
from models.towers import EcgTower, EchoTower


@pytest.fixture(scope="session")
def published() -> Published:
    return Published()


@pytest.fixture(scope="session")
def published_ecg_tower(published: Published) -> EcgTower:
    tower = EcgTower(paper())
    for name, component in tower.named_children():
        component.load_state_dict(published.weights(name))
    return tower.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def published_echo_tower(published: Published) -> EchoTower:
    tower = EchoTower(paper())
    for name, component in tower.named_children():
        component.load_state_dict(published.weights(name))
    return tower.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def probes() -> Probes:
    """Random but plausible numbers for the demo sizes."""
    stream, features = np.random.default_rng(5), demo().features_dim

    def row(scale: float = 0.1, centre: float = 0.0) -> tuple[float, ...]:
        return tuple(stream.normal(centre, scale, features).tolist())

    return Probes(
        feature_mean_F=row(),
        feature_std_F=tuple(stream.uniform(0.5, 2.0, features).tolist()),
        lvef=LvefProbe(
            weight_CF=(row(), row(), row()),
            bias_C=(0.1, -0.3, 0.2),
            calibration=Calibration(scale=0.7, shift=(0.2, 0.0, -0.1)),
        ),
        shd=ShdProbe(weight_F=row(), bias=-0.4, calibration=Calibration(scale=1.3, shift=(0.1,)), threshold=0.45),
    )


@pytest.fixture(scope="session")
def judging_probes(probes: Probes) -> Probes:
    """The same with a flag, and with an out-of-distribution score whose held-out ECGs scored 0 to 8."""
    scale = {"median": 0.0, "tail": 1.0}

    def distance(count: int) -> dict[str, Any]:
        rows = [[0.0] * place + [1.0 + place] for place in range(count)]
        return {"mean_S": [0.1] * count, "factor": rows, "scale": scale}

    ood = {
        "features": distance(96),
        "leads": distance(10),
        "texture": distance(9),
        "direction": {"weight_S": [1.0] * 22, "scale": scale},
        "held_out_scores": list(range(9)),
    }
    numbers = probes.model_dump() | {
        "flags": {"lvef_lte_45_flag": probes.shd.model_dump(exclude_none=True)},
        "ood": ood,
    }
    numbers["shd"] |= {"prevalence": 0.5}
    return Probes.model_validate(numbers)


@pytest.fixture(scope="session")
def draft() -> BundleDraft:
    return BundleDraft(
        id="test-bundle",
        created=datetime(2026, 3, 9, tzinfo=UTC),
        code_version="0.1.0",
        seeds={"train": 1},
        architecture=demo(),
        ecg=EcgSpec(),
        echo=EchoSpec(size=demo().echo.size, max_views=5),
        labels=LabelDefinitions(shd_flags=("lvef_lte_45_flag",)),
        metrics={"shd_auroc": 0.8},
        training_data={"patients": 10},
    )


@pytest.fixture(scope="session")
def demo_modules() -> dict[str, torch.nn.Module]:
    """Seeded random weights at the demo sizes, with no parameter left at zero."""
    torch.manual_seed(11)
    sizes = demo()
    modules = {
        "ecg_tower": EcgTower(sizes),
        "echo_encoder": EchoEncoder(sizes.echo, sizes.view_dim),
        "echo_tower": EchoTower(sizes),
    }
    for module in modules.values():
        module.eval().requires_grad_(False)
        for parameter in module.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return modules


@pytest.fixture
def bundle_dir(tmp_path: Path, draft: BundleDraft, demo_modules: Any, probes: Probes) -> Path:
    path = tmp_path / "bundle"
    write_bundle(path, draft, **demo_modules, probes=probes, card="# A test bundle\n")
    return path
