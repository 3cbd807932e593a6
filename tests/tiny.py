"""Towers that train in a second: three leads, two blocks, eight numbers to an embedding. And made-up bundles."""

from datetime import UTC, datetime
from typing import Any

from ground.findings import SHD_FLAGS
from inputs.specs import EcgSpec, EchoSpec
from models.architecture import Architecture, EcgArchitecture
from models.architecture import demo as demo_architecture
from models.bundle import BundleDraft
from models.labels import LabelDefinitions
from training.recipes import Alignment, Recipe

ECG = EcgSpec(leads=("I", "II", "III"), normalisation_groups=((0, 3),), window_samples=48, windows="mean")


def tiny_architecture(*, pool_dropout: float = 0.0, **ecg: Any) -> Architecture:
    """`ecg` are sizes of the ECG encoder that shall be others."""
    sizes = {"leads": 3, "window_samples": 48, "patch_samples": 12, "embed_dim": 24, "depth": 2, "heads": 2}
    return Architecture(
        ecg=EcgArchitecture(**(sizes | ecg)),
        echo=demo_architecture().echo,
        view_dim=6,
        projection_dim=16,
        embedding_dim=8,
        pool_heads=2,
        pool_dropout=pool_dropout,
    )


def tiny_recipe(architecture: Architecture, **alignment: Any) -> Recipe:
    """`alignment` are settings of the alignment that shall be others."""
    settings = {
        "epochs": 4, "batch_size": 16, "learning_rate": 3e-3, "weight_decay": 0.01, "layer_decay": 0.75,
        "warmup_epochs": 1, "temperature": 0.1, "patience": 10,
    }  # fmt: skip
    return Recipe(
        name="tiny",
        architecture=architecture,
        ecg=ECG,
        echo=EchoSpec(size=64),
        echo_pretraining=None,
        alignment=Alignment(**(settings | alignment)),
    )


def draft_of(recipe: Recipe, **changes: Any) -> BundleDraft:
    """What a made-up bundle of a recipe's sizes says of itself."""
    fields = {
        "id": "made-up", "created": datetime(2026, 1, 1, tzinfo=UTC), "code_version": "0", "seeds": {},
        "architecture": recipe.architecture, "ecg": recipe.ecg, "echo": recipe.echo,
        "labels": LabelDefinitions(shd_flags=SHD_FLAGS), "metrics": {}, "training_data": {},
    }  # fmt: skip
    return BundleDraft(**(fields | changes))
