"""Cohorts of ECGs alone, as rows of one array: z-scores as EchoNext has them, padded tracings as CODE-15 has them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cohorts import SPLITS, write_cohort_tables
from ground.findings import SHD_FLAGS
from inputs.records import STANDARD_LEADS

PATIENTS_PER_SPLIT = dict(zip(SPLITS, (16, 8, 8, 8), strict=True))
LVEF = (25.0, 45.0, 60.0, 65.0)
PADDED = slice(648, 648 + 2800)
"""Where a padded tracing is no padding."""


def patients() -> pd.DataFrame:
    rows = [
        {"patient_id": f"{split}{number}", "split": split, "lvef": LVEF[number % 4] + number / 10}
        for split, count in PATIENTS_PER_SPLIT.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows)


def beats_mv(lvef: float, rate_hz: int, samples: int, draw: np.random.Generator) -> np.ndarray:
    """(samples, 12): the lower the LVEF, the wider the QRS and the smaller the limb leads."""
    t = np.arange(samples) / rate_hz
    width = 0.01 + 0.04 * (70 - lvef) / 45
    centres = np.arange(draw.uniform(0.1, 0.5), samples / rate_hz, 0.8)
    beats = sum(np.exp(-0.5 * ((t - centre) / width) ** 2) for centre in centres)
    gains = np.concatenate([np.full(6, 0.4 + lvef / 100), np.full(6, 1.2)]) * draw.choice([-1, 1], 12)
    return (gains[:, None] * beats + 0.03 * draw.standard_normal((12, samples))).T


def echonext_like(root: Path, *, about: dict[str, object] | None = None) -> Path:
    """Studies with labels, no clips. `waveforms.npy` is (N, 1, 2500, 12) float64 at 250 Hz, a z-score of each lead.

    `mv.npy` beside it, which no table names, is the same in millivolt. `about` is added to `cohort.json`; the lead
    scale that was used lies in `scale.json`.
    """
    root.mkdir()
    who, draw = patients(), np.random.default_rng(3)
    signal_mv = np.stack([beats_mv(lvef, 250, 2500, draw) for lvef in who["lvef"]])[:, np.newaxis]
    mean, sd = signal_mv.mean(axis=(0, 1, 2)), signal_mv.std(axis=(0, 1, 2))
    np.save(root / "mv.npy", signal_mv)
    np.save(root / "waveforms.npy", (signal_mv - mean) / sd)
    scale = {lead: [float(m), float(s)] for lead, m, s in zip(STANDARD_LEADS, mean, sd, strict=True)}
    (root / "scale.json").write_text(json.dumps(scale))
    shared = {"patient_id": who["patient_id"], "acquired_at": "2020-01-01T00:00:00"}
    ecgs = pd.DataFrame(shared | {"ecg_id": "e-" + who["patient_id"], "path": "waveforms.npy"})
    flags = {name: who["lvef"] <= 45 if name == "lvef_lte_45_flag" else False for name in SHD_FLAGS}
    study = {"study_id": "s-" + who["patient_id"], "age": 60, "sex": "female", "lvef_percent": who["lvef"]}
    studies = pd.DataFrame(shared | study | {"lvedv_ml": "", "lvesv_ml": ""} | flags)
    splits = who[["patient_id", "split"]]
    write_cohort_tables(root, ecgs.assign(row=range(len(who)), rate_hz=250), None, studies, splits)
    (root / "cohort.json").write_text(json.dumps({"name": "EchoNext-like", **(about or {"amplitude": "relative"})}))
    return root


def code15_like(root: Path) -> Path:
    """Neither studies nor clips. `exams_part0.hdf5`, under a root beside the cohort, holds padded tracings.

    They are (N + 1, 4096, 12) float32 at 400 Hz, zeros at both ends, and a last row of nothing but zeros.
    """
    share = root.with_name(f"{root.name}-share")
    root.mkdir()
    share.mkdir()
    who, draw = patients(), np.random.default_rng(4)
    tracings = np.zeros((len(who) + 1, 4096, 12), np.float32)
    for row, lvef in enumerate(who["lvef"]):
        tracings[row, PADDED] = beats_mv(lvef, 400, 2800, draw)
    with h5py.File(share / "exams_part0.hdf5", "w") as file:
        file["tracings"] = tracings
        file["exam_id"] = np.append(np.arange(len(who)) + 100, 0)
    ecgs = pd.DataFrame({"patient_id": who["patient_id"], "ecg_id": "e-" + who["patient_id"]}).assign(
        acquired_at="1970-01-01T00:00:00",
        path="code:exams_part0.hdf5",
        dataset="tracings",
        row=range(len(who)),
        rate_hz=400,
        unit="mV",
        leads="DI,DII,DIII,AVR,AVL,AVF,V1,V2,V3,V4,V5,V6",
    )
    write_cohort_tables(root, ecgs, None, None, who[["patient_id", "split"]])
    (root / "cohort.json").write_text(json.dumps({"roots": {"code": f"../{share.name}"}}))
    return root
