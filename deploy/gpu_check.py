"""For the owner of a GPU host: does the GPU give the CPU's answers?

Loads the demo bundle on both devices, embeds the same ECGs and clips, judges the same ordinary ECGs, searches the
same vectors, serves a real ECG from the GPU, and prints what ran and how far apart the answers were. Elsewhere it says
why it cannot.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from inputs.specs import EcgSpec
    from models.bundle import Bundle

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = ROOT / "bundles" / "demo"
MIN_COSINE = 0.999
MAX_PROBABILITY_DIFFERENCE = 1e-3
MAX_PERCENT_DIFFERENCE = 0.1
"""Of LVEF as a number."""
MAX_SCORE_DIFFERENCE = 1e-2
"""Of the out-of-distribution score: a hundredth of the way from a typical ECG to one that is warned about."""
N_ECGS = 64
N_CLIPS = 16
SEED = 11


class CheckFailed(Exception):
    """One sentence: what did not hold."""


def main() -> None:
    if not torch.cuda.is_available():
        built = torch.version.cuda or "no CUDA"
        sys.exit(f"gpu-check cannot run here: torch {torch.__version__} ({built}) sees no CUDA device.")
    from models.bundle import Bundle

    try:
        cpu, gpu = Bundle.load(BUNDLE, device="cpu"), Bundle.load(BUNDLE, device="cuda")
        report = {
            "machine": platform.platform(),
            "gpu": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "embeddings": _compare_embeddings(cpu, gpu),
            "judgements": compare_judgements(cpu, gpu),
            "search": _compare_search(),
            "service": _serve(),
        }
    except CheckFailed as error:
        sys.exit(f"gpu-check failed: {error}")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _compare_embeddings(cpu: Bundle, gpu: Bundle) -> dict[str, float]:
    rng = np.random.default_rng(SEED)
    leads, samples = len(cpu.manifest.ecg.leads), cpu.manifest.ecg.window_samples
    windows_BWLN = rng.standard_normal((N_ECGS, 1, leads, samples)).astype(np.float32)
    spec = cpu.manifest.echo
    clips_NCTHW = rng.standard_normal((N_CLIPS, 3, spec.frames, spec.size, spec.size)).astype(np.float32)
    a, b = cpu.embed_ecgs(windows_BWLN), gpu.embed_ecgs(windows_BWLN)
    assert a.embeddings_BD is not None
    assert b.embeddings_BD is not None
    found = {
        "ecg_min_cosine": _min_cosine(a.embeddings_BD, b.embeddings_BD),
        "clip_min_cosine": _min_cosine(cpu.embed_clips(clips_NCTHW), gpu.embed_clips(clips_NCTHW)),
    }
    for name in ("ecg_min_cosine", "clip_min_cosine"):
        if found[name] < MIN_COSINE:
            raise CheckFailed(f"{name} is {found[name]:.6f}, below {MIN_COSINE}")
    return found


def compare_judgements(cpu: Bundle, gpu: Bundle) -> dict[str, float]:
    """How far apart what two bundles say of ordinary ECGs is. CheckFailed where it is too far, or says too little."""
    windows_BWLN = _ordinary_ecgs(cpu.manifest.ecg)
    a, b = cpu.embed_ecgs(windows_BWLN), gpu.embed_ecgs(windows_BWLN)
    if a.lvef_BC is None or a.shd_B is None or a.flags_BQ is None or a.ood is None:
        raise CheckFailed("the demo bundle has no probes, or does not say how unusual an ECG is")
    if b.lvef_BC is None or b.shd_B is None or b.flags_BQ is None or b.ood is None:
        raise CheckFailed("the GPU says less of an ECG than the CPU")
    pairs: dict[str, tuple[np.ndarray, np.ndarray, float]] = {
        "lvef_largest_difference": (a.lvef_BC, b.lvef_BC, MAX_PROBABILITY_DIFFERENCE),
        "shd_largest_difference": (a.shd_B, b.shd_B, MAX_PROBABILITY_DIFFERENCE),
        "flags_largest_difference": (a.flags_BQ, b.flags_BQ, MAX_PROBABILITY_DIFFERENCE),
        "ood_score_largest_difference": (a.ood.score_B, b.ood.score_B, MAX_SCORE_DIFFERENCE),
    }
    if a.lvef_percent_B is not None and b.lvef_percent_B is not None:  # an older bundle has none
        pairs["lvef_percent_largest_difference"] = (a.lvef_percent_B, b.lvef_percent_B, MAX_PERCENT_DIFFERENCE)
    found = {name: float(np.abs(one - other).max(initial=0.0)) for name, (one, other, _) in pairs.items()}
    for name, (_, _, most) in pairs.items():
        if not found[name] <= most:
            raise CheckFailed(f"{name} is {found[name]:.2g}, more than {most}")
    return found


def _ordinary_ecgs(spec: EcgSpec) -> np.ndarray:
    """Prepared windows of simulated ECGs: what the demo bundle was trained on, as noise is not."""
    from inputs.ecg.prepare import ecg_windows, prepare_ecg
    from inputs.records import STANDARD_LEADS, EcgRecording
    from simulator.ecg.electrics import sample_electrics
    from simulator.ecg.recorder import choose_recorder
    from simulator.ecg.signal import simulate_ecg
    from simulator.patient import sample_patient

    ecgs = []
    for stream in np.random.SeedSequence(SEED).spawn(N_ECGS):
        rng = np.random.default_rng(stream)
        patient, electrics = sample_patient(rng), sample_electrics(rng)
        recorder = choose_recorder(patient.site, rng)
        signal_mv = simulate_ecg(patient.at(0.0), electrics=electrics, recorder=recorder, rng=rng)
        recording = EcgRecording(signal_mv, recorder.rate_hz, STANDARD_LEADS, "simulated")
        ecgs.append(ecg_windows(prepare_ecg(recording, spec).signal_LN, spec))
    return np.stack(ecgs)


def _min_cosine(a_ND: np.ndarray, b_ND: np.ndarray) -> float:
    norms = np.linalg.norm(a_ND, axis=1) * np.linalg.norm(b_ND, axis=1)
    return float(((a_ND * b_ND).sum(axis=1) / norms).min())


def _compare_search() -> dict[str, object]:
    from index.backends.faiss_backend import FaissIndex

    rng = np.random.default_rng(SEED)
    vectors_ND = rng.standard_normal((20_000, 128)).astype(np.float32)
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    ids_N = np.arange(len(vectors_ND), dtype=np.int64)
    cpu, gpu = FaissIndex(128), FaissIndex(128)
    cpu.add(ids_N, vectors_ND)
    gpu.add(ids_N, vectors_ND)
    if not gpu.place_on("cuda"):
        raise CheckFailed(gpu.notice or "the index could not be moved to the GPU")
    queries_BD, allowed_N = vectors_ND[:64] + 0.05, ids_N[::7]
    for allowed in (None, allowed_N):
        a, b = cpu.search(queries_BD, 10, allowed), gpu.search(queries_BD, 10, allowed)
        if not np.allclose(a.similarity_BK, b.similarity_BK, atol=1e-4):
            raise CheckFailed("the GPU index and the CPU index score differently")
        rows_a = [list(zip(*row, strict=True)) for row in zip(a.ids_BK, a.similarity_BK, strict=True)]
        rows_b = [list(zip(*row, strict=True)) for row in zip(b.ids_BK, b.similarity_BK, strict=True)]
        if not all(_same_but_for_ties(*rows, tie=1e-6) for rows in zip(rows_a, rows_b, strict=True)):
            raise CheckFailed("the GPU index and the CPU index rank differently")
    return {"backend": gpu.backend, "notice": gpu.notice}


def _same_but_for_ties(a: Sequence[tuple[object, float]], b: Sequence[tuple[object, float]], *, tie: float) -> bool:
    """Whether two rankings (id and similarity, best first) name the same ids where no others score about the same."""
    if len(a) != len(b):
        return False
    scores = dict(a) | dict(b)
    return all(x == y or abs(scores[x] - scores[y]) <= tie for (x, _), (y, _) in zip(a, b, strict=True))


def _serve() -> dict[str, object]:
    from cli.demo import answer_real_ecg

    with tempfile.TemporaryDirectory() as folder:
        answer = answer_real_ecg(Path(folder), device="cuda")
        expected = answer_real_ecg(Path(folder), device="cpu")
    if not str(answer["device"]).startswith("cuda"):
        raise CheckFailed(f"the service answered from {answer['device']}, not from the GPU")
    apart = float(np.abs(_probabilities(answer) - _probabilities(expected)).max())
    if apart > MAX_PROBABILITY_DIFFERENCE:
        raise CheckFailed(f"the served probabilities are {apart:.2g} apart, more than {MAX_PROBABILITY_DIFFERENCE}")
    ranked = [[(hit["study_id"], hit["similarity"]) for hit in each["neighbours"]] for each in (answer, expected)]
    if not _same_but_for_ties(*ranked, tie=MAX_PROBABILITY_DIFFERENCE):
        raise CheckFailed("the service names other neighbours from the GPU than from the CPU")
    return {
        "device": answer["device"],
        "probabilities_apart": apart,
        "timing_ms": answer["timing_ms"],
        "neighbours": len(answer["neighbours"]),
    }


def _probabilities(answer: Mapping[str, Any]) -> np.ndarray:
    predictions = answer["predictions"]
    classes = [row["probability"] for row in predictions["lvef"]["classes"]]
    return np.array([*classes, predictions["shd"]["probability"]])


if __name__ == "__main__":
    main()
