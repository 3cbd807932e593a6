"""Bundles for the commands: a small one with random weights, and one imported from files as they are published."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from published_files import save_published_components
from published_implementation import Published

from cli.failures import sentence_of
from cli.main import app
from inputs.specs import EcgSpec, EchoSpec
from models.architecture import Architecture, EcgArchitecture, EchoArchitecture, EchoBlock
from models.bundle import BundleDraft, write_bundle
from models.echo_encoder import EchoEncoder
from models.labels import LabelDefinitions
from models.towers import EcgTower, EchoTower

SIZES = Architecture(
    ecg=EcgArchitecture(window_samples=96, embed_dim=24, depth=1),
    echo=EchoArchitecture(
        frames=4,
        size=16,
        stem_dim=8,
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 8, 8),
        blocks=(EchoBlock(dim=8, heads=1),),
    ),
    view_dim=16,
    projection_dim=32,
    embedding_dim=20,
)


@pytest.fixture
def command():
    """Run a command as `main` does: (exit code, everything printed, the sentence of an expected failure)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if done.exception is None or isinstance(done.exception, SystemExit):
            return done.exit_code, done.output, ""
        sentence = sentence_of(done.exception)
        if sentence is None:
            raise done.exception
        return 1, done.output, sentence

    return run


@pytest.fixture
def small_bundle(tmp_path):
    """Write a bundle of `SIZES`; averages the windows of a record; whole, or without components of its towers."""

    def write(*absent: str) -> Path:
        torch.manual_seed(2)
        towers = {"ecg_tower": EcgTower(SIZES), "echo_tower": EchoTower(SIZES)}
        for tower in towers.values():
            for name in absent:
                if hasattr(tower, name):
                    delattr(tower, name)
        draft = BundleDraft(
            id="small",
            created=datetime(2026, 3, 9, tzinfo=UTC),
            code_version="0.1.0",
            seeds={},
            architecture=SIZES,
            ecg=EcgSpec(window_samples=96, windows="mean"),
            echo=EchoSpec(frames=4, size=16, max_views=3),
            labels=LabelDefinitions(shd_flags=("lvef_lte_45_flag",)),
            metrics={},
            training_data={},
            absent=absent,
        )
        encoder = EchoEncoder(SIZES.echo, SIZES.view_dim)
        write_bundle(tmp_path / "small", draft, **towers, echo_encoder=encoder, card="# Small\n")
        return tmp_path / "small"

    return write


@pytest.fixture(scope="session")
def published() -> Published:
    return Published()


@pytest.fixture(scope="session")
def published_components(published, tmp_path_factory) -> Path:
    """The seven component files at the published sizes."""
    folder = tmp_path_factory.mktemp("published") / "components"
    save_published_components(published, folder)
    return folder
