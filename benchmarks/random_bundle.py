"""A bundle with random weights and an index of random vectors: for measuring speed and memory, not answers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from index.catalogue.cards import CataloguedView, StudyCard
from index.store import IndexStore
from inputs.specs import EcgSpec, EchoSpec
from models.architecture import Architecture
from models.bundle import Bundle, BundleDraft, write_bundle
from models.echo_encoder import EchoEncoder
from models.labels import LabelDefinitions
from models.probes import Calibration, LvefProbe, Probes, ShdProbe
from models.towers import EcgTower, EchoTower

FLAGS = ("lvef_lte_45", "lvwt_gte_13", "aortic_stenosis", "pericardial_effusion")


def write_random_bundle(path: Path, architecture: Architecture, *, with_echo: bool = True) -> Bundle:
    """Write a bundle of this architecture and load what the service loads of it."""
    torch.manual_seed(0)
    features = architecture.ecg.embed_dim
    row = tuple(np.linspace(-0.1, 0.1, features).tolist())
    probes = Probes(
        feature_mean_F=(0.0,) * features,
        feature_std_F=(1.0,) * features,
        lvef=LvefProbe(weight_CF=(row, row[::-1], row), bias_C=(0.0,) * 3, calibration=Calibration(shift=(0.0,) * 3)),
        shd=ShdProbe(weight_F=row, bias=0.0, calibration=Calibration(shift=(0.0,)), threshold=0.5),
    )
    write_bundle(
        path,
        BundleDraft(
            id="random-weights",
            created=datetime.now(UTC),
            code_version="0",
            seeds={"weights": 0},
            architecture=architecture,
            ecg=EcgSpec(window_samples=architecture.ecg.window_samples),
            echo=EchoSpec(frames=architecture.echo.frames, size=architecture.echo.size),
            labels=LabelDefinitions(shd_flags=FLAGS),
            metrics={},
            training_data={},
        ),
        ecg_tower=EcgTower(architecture),
        echo_encoder=EchoEncoder(architecture.echo, architecture.view_dim) if with_echo else None,
        echo_tower=EchoTower(architecture) if with_echo else None,
        probes=probes,
        card="Random weights, for measuring speed and memory.\n",
    )
    return Bundle.load(path, device="cpu", parts=("ecg",))


def write_random_generation(root: Path, bundle: Bundle, studies: int) -> None:
    """An index of unit vectors; every study has six views with a thumbnail of two kilobytes for the first."""
    rng = np.random.default_rng(0)
    thumbnail = b"\xff\xd8\xff" + rng.bytes(2048)
    names = ("PLAX", "PSAX", "A4C", "A2C", "A3C", "SUBC")
    store, dim = IndexStore(root), bundle.embedding_dim
    with store.write(bundle_id=bundle.id, bundle_sha256=bundle.sha256, dim=dim, build={}) as writer:
        for row in range(studies):
            vector_D = rng.standard_normal(dim).astype(np.float32)
            card = StudyCard(
                row_id=row,
                study_id=f"study-{row}",
                patient_id=f"patient-{row // 2}",
                acquired_at=datetime(2020 + row % 6, 1 + row % 12, 1, tzinfo=UTC),
                age=20.0 + row % 70,
                sex=("female", "male")[row % 2],
                lvef_percent=30.0 + row % 40,
                lvedv_ml=120.0,
                lvesv_ml=50.0,
                flags=dict.fromkeys(FLAGS, False),
                shd=False,
                views=tuple(CataloguedView(f"view-{view}", name, 1 / 6) for view, name in enumerate(names)),
            )
            writer.add(card, vector_D / np.linalg.norm(vector_D), {"view-0": thumbnail})
