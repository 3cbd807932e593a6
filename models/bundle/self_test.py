"""Does this machine give what the bundle gave where it was written? A known ECG, prepared, embedded and judged again.

Letters: L leads, N samples.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.errors import UnusableRecording
from models.bundle.known_ecg import SelfTest
from models.bundle.loaded import Bundle, Precision
from models.bundle.manifest import ECG_TOWER, PROBES, BundleDraft, BundleManifest
from models.probes import Probes
from models.towers import EcgTower

_ALLOWED: dict[Precision, dict[str, float]] = {
    "fp32": {"vector": 1e-3, "probability": 1e-3, "number": 1e-3},
    "bf16": {"vector": 5e-2, "probability": 5e-2, "number": 1e-1},
}
"""Of a vector, how far it may lie away as a share of its length; of a probability as it is; of a number as a share of
itself, or of 1 where that is more. bfloat16 keeps three digits, which a deep encoder adds up."""


@dataclass(frozen=True)
class Difference:
    """How far one answer lies from the known one, and how far it may."""

    answer: str
    precision: Precision
    found: float
    allowed: float

    @property
    def holds(self) -> bool:
        return self.found <= self.allowed  # of NaN it does not


def make_self_test(draft: BundleDraft, ecg_tower: EcgTower | None, probes: Probes | None) -> SelfTest | None:
    """What a bundle of these parts says of the known ECG, on the CPU in float32.

    None without an ECG encoder, or with one whose windows are longer than the known ECG. The tower stays as it is.
    """
    files = {ECG_TOWER: "", **({} if probes is None else {PROBES: ""})}
    manifest = BundleManifest(**dict(draft), files=files)
    if ecg_tower is None or manifest.lacks("probe_features"):
        return None
    bundle = Bundle(
        manifest,
        "",
        torch.device("cpu"),
        ecg_tower=deepcopy(ecg_tower).to("cpu"),
        echo_encoder=None,
        echo_tower=None,
        probes=probes,
    )
    blank = SelfTest.of_known_ecg()
    try:
        return replace(blank, answers=_answers(bundle, blank))
    except UnusableRecording:
        return None


def run_self_test(bundle: Bundle, known: SelfTest) -> tuple[Difference, ...]:
    """By the device and precision of `bundle`. What it does not give, such as unusualness in bf16, is not compared."""
    found = _answers(bundle, known)
    return tuple(
        Difference(name, bundle.precision, *_distance(name, found.get(name), expected, bundle.precision))
        for name, expected in known.answers.items()
        if name in found or name != "unusual"
    )


def _distance(
    name: str, found: NDArray[np.float32] | None, expected: NDArray[np.float32], precision: Precision
) -> tuple[float, float]:
    if found is None or found.shape != expected.shape:
        return float("inf"), 0.0
    away = np.abs(found.astype(np.float64) - expected)
    if name in ("features", "embedding"):
        return float(np.linalg.norm(away)) / max(float(np.linalg.norm(expected)), 1e-12), _ALLOWED[precision]["vector"]
    if name in ("LVEF classes", "SHD", "findings", "own yes or no"):
        return float(away.max(initial=0.0)), _ALLOWED[precision]["probability"]
    return float((away / np.maximum(np.abs(expected), 1.0)).max(initial=0.0)), _ALLOWED[precision]["number"]


def _answers(bundle: Bundle, known: SelfTest) -> dict[str, NDArray[np.float32]]:
    """One ECG's, by name."""
    spec = bundle.manifest.ecg
    output = bundle.embed_ecgs(ecg_windows(prepare_ecg(known.recording, spec).signal_LN, spec)[None])
    own, yes_no = output.own_BK, 0 if bundle.probes is None else len(bundle.probes.own_yes_no)
    said = {
        "features": output.features_BF,
        "embedding": output.embeddings_BD,
        "LVEF classes": output.lvef_BC,
        "LVEF": output.lvef_percent_B,
        "SHD": output.shd_B,
        "findings": output.flags_BQ,
        "own yes or no": None if own is None else own[:, :yes_no],
        "own numbers": None if own is None else own[:, yes_no:],
        "unusual": None if output.ood is None else output.ood.score_B,
    }
    one = {name: np.atleast_1d(np.asarray(rows[0], np.float32)) for name, rows in said.items() if rows is not None}
    return {name: value for name, value in one.items() if value.size}
