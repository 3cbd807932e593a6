"""A cohort folder small enough to train on in seconds: real files, a hidden number per patient behind all of them."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cohorts import SPLITS, write_cohort_tables
from ground.findings import SHD_FLAGS
from inputs.specs import EcgSpec, EchoSpec
from models.architecture import Architecture, EcgArchitecture, EchoArchitecture, EchoBlock
from models.labels import LvefClasses
from training.recipes import Alignment, EchoPretraining, Recipe

sys.path.insert(0, str(Path(__file__).parent))  # for `tiny`

LVEF = (25.0, 45.0, 60.0, 65.0)
PATIENTS_PER_SPLIT = dict(zip(SPLITS, (16, 8, 8, 8), strict=True))


def write_wfdb(folder, name, lvef, draw):
    """Three seconds of beats; the lower the LVEF, the wider the QRS and the smaller the limb leads."""
    t = np.arange(1200) / 400
    width = 0.01 + 0.04 * (70 - lvef) / 45
    beats = sum(np.exp(-0.5 * ((t - centre) / width) ** 2) for centre in np.arange(draw.uniform(0.1, 0.5), 3, 0.8))
    gains = np.concatenate([np.full(6, 0.4 + lvef / 100), np.full(6, 1.2)]) * draw.choice([-1, 1], 12)
    signal = gains[:, None] * beats + 0.03 * draw.standard_normal((12, 1200))
    (folder / f"{name}.dat").write_bytes((signal.T * 1000).astype("<i2").tobytes())
    leads = ("I", "II", "III", "aVR", "aVL", "aVF", *(f"V{i}" for i in range(1, 7)))
    lines = [f"{name} 12 400 1200", *(f"{name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in leads)]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


def write_clip(path, lvef, view, draw):
    """A disc that shrinks by the LVEF between two frames, darker in the second view."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (48, 48))
    for frame in range(8):
        radius = 0.6 * (1 - 0.8 * lvef / 100 * (frame // 2 % 2)) + 0.02 * draw.standard_normal()
        grey = np.where(x**2 + y**2 < radius**2, 200 - 60 * view, 40) + 8 * draw.standard_normal((48, 48))
        writer.write(np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    writer.release()


def write_cohort(root, *, seed=0):
    draw = np.random.default_rng(seed)
    rows = {name: [] for name in ("ecgs", "echos", "studies", "splits")}
    (root / "files").mkdir(parents=True)
    for split, patients in PATIENTS_PER_SPLIT.items():
        for number in range(patients):
            patient, lvef = f"{split}{number}", LVEF[number % len(LVEF)] + draw.normal(0, 1)
            rows["splits"].append({"patient_id": patient, "split": split})
            write_wfdb(root / "files", patient, lvef, draw)
            ecg = {"ecg_id": f"e-{patient}", "acquired_at": "2020-01-02T00:00:00", "path": f"files/{patient}.hea"}
            rows["ecgs"].append({"patient_id": patient} | ecg)
            study = {"patient_id": patient, "study_id": f"s-{patient}", "acquired_at": "2020-01-01T00:00:00"}
            flags = dict.fromkeys(SHD_FLAGS, False) | {"lvef_lte_45_flag": lvef <= 45}
            volumes = {"lvef_percent": lvef, "lvedv_ml": 100.0, "lvesv_ml": 100 - lvef}
            rows["studies"].append(study | {"age": 60, "sex": "female"} | volumes | flags)
            for view in range(2):
                path = f"files/{patient}-{view}.avi"
                write_clip(root / path, lvef, view, draw)
                rows["echos"].append(study | {"view_id": f"v{view}", "path": path, "view": "A4C"})
    frames = {name: pd.DataFrame(table) for name, table in rows.items()}
    for name in ("ecgs", "echos", "studies"):
        frames[name]["acquired_at"] = pd.to_datetime(frames[name]["acquired_at"])
    write_cohort_tables(root, **frames)
    return root


def pytest_collection_modifyitems(items):
    """The longest file first: begun last, it would leave one worker to wait for the other."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


@pytest.fixture(scope="session")
def cohort_dir(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort") / "cohort")


@pytest.fixture(scope="session")
def micro_recipe():
    return Recipe(
        name="micro",
        architecture=Architecture(
            ecg=EcgArchitecture(window_samples=480, patch_samples=48, embed_dim=24, depth=2, heads=2),
            echo=EchoArchitecture(
                frames=4,
                size=16,
                stem_dim=16,
                patch_kernel=(1, 3, 3),
                patch_stride=(1, 4, 4),
                blocks=(EchoBlock(dim=16, heads=1, stride_kv=(1, 2, 2)),),
            ),
            view_dim=12,
            projection_dim=16,
            embedding_dim=8,
            pool_heads=2,
        ),
        ecg=EcgSpec(window_samples=480, windows="mean"),
        echo=EchoSpec(frames=4, size=16),
        lvef_classes=LvefClasses(),
        echo_pretraining=EchoPretraining(
            epochs=3,
            batch_size=8,
            learning_rate=3e-3,
            weight_decay=0.01,
            warmup_epochs=0.5,
            patience=3,
            shift_pixels=1,
            gain_sd=0.05,
        ),
        alignment=Alignment(
            epochs=4,
            batch_size=8,
            learning_rate=3e-3,
            weight_decay=0.01,
            layer_decay=0.9,
            warmup_epochs=1,
            temperature=0.1,
            patience=4,
        ),
    )
