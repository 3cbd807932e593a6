"""Files to vectors in an .npz, without an index or a service. Arrays instead of files: `cli/embed_prepared.py`.

Letters in array names: B batch, W windows, L leads, N samples (or ECGs, or studies), V views, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.vectors import Vectors, ecg_vectors, study_vectors
from ground.progress import Progress
from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.ecg.read import read_ecg_path
from inputs.echo.prepare import prepare_clip
from inputs.echo.read import read_echo
from inputs.errors import InputError
from models.bundle import Bundle

ECHO_SUFFIXES = ("", ".dcm", ".avi", ".mp4")

# What readers advise in words of the HTTP interface, in words of this one.
_ADVICE = {
    "rate_missing": "Add --rate-hz, and --unit where the file does not say it, for example --rate-hz 500 --unit mV.",
    "unit_missing": "Add --unit, for example --unit mV.",
    "rate_conflict": "Leave --rate-hz out: the file states its own rate.",
    "leads_missing": (
        "Leads are found by name; an array holds I, II, III, aVR, aVL, aVF and V1 to V6 in this order, or I, II and V1 "
        "to V6."
    ),
}


@dataclass
class EmbedResult:
    """How many were written, one sentence for each that was not, and what else to know about the arrays written."""

    written: int = 0
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def embed_ecg_files(
    files: Sequence[Path],
    bundle_dir: Path,
    output: Path,
    *,
    rate_hz: float | None,
    unit: str | None,
    device: str,
    progress: Progress,
) -> EmbedResult:
    """Write `ids` (N,) and what `ecg_vectors` gives; a file that cannot be used is skipped. No file without a row."""
    bundle = Bundle.load(bundle_dir, device=device, parts=("ecg",))
    skipped, ids, rows = [], [], []
    for done, path in enumerate(files, start=1):
        try:
            recording = read_ecg_path(path, rate_hz=rate_hz, unit=unit)
            windows_WLN = ecg_windows(prepare_ecg(recording, bundle.manifest.ecg), bundle.manifest.ecg)
        except InputError as error:
            hint = _ADVICE.get(error.code, error.hint) if error.hint else ""
            skipped.append(f"{path.name}: {error.sentence} {hint}".rstrip())
        else:
            rows.append(ecg_vectors(bundle, windows_WLN[None]))
            ids.append(path.name)
        progress(done, len(files), path.name)
    return save_vectors(output, rows, ids=ids, skipped=skipped)


def embed_echo_studies(
    studies: Sequence[Path], bundle_dir: Path, output: Path, *, device: str, progress: Progress
) -> EmbedResult:
    """Write `ids` (N,) and what `study_vectors` gives, weights padded with 0 to the study with most views."""
    bundle = Bundle.load(bundle_dir, device=device, parts=("echo",))
    spec = bundle.manifest.echo
    skipped, ids, rows = [], [], []
    for done, folder in enumerate(studies, start=1):
        clips: list[NDArray[np.float32]] = []
        for path in sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in ECHO_SUFFIXES):
            if len(clips) == spec.max_views:
                break
            try:
                clip = read_echo(path, max_frames=spec.frames_needed, every=spec.stride)
                clips.append(prepare_clip(clip, spec))
            except InputError as error:
                skipped.append(f"{folder.name}/{path.name}: {error.sentence}")
        if clips:
            views_VD = bundle.embed_clips(np.stack(clips))
            rows.append(study_vectors(bundle, views_VD[None], np.ones((1, len(views_VD)), bool)))
            ids.append(folder.name)
        else:
            skipped.append(f"{folder.name}: no readable clip.")
        progress(done, len(studies), folder.name)
    most = max((row["pool_weights"].shape[1] for row in rows), default=0)
    for row in rows:
        row["pool_weights"] = np.pad(row["pool_weights"], ((0, 0), (0, most - row["pool_weights"].shape[1])))
    return save_vectors(output, rows, ids=ids, skipped=skipped)


def save_vectors(
    output: Path, rows: Sequence[Vectors], *, ids: Sequence[str] | None = None, skipped: Sequence[str] = ()
) -> EmbedResult:
    """Write the rows one below the other; say so where they have no embeddings. No file when there is no row."""
    if not rows:
        return EmbedResult(skipped=list(skipped))
    arrays: dict[str, NDArray[np.generic]] = {} if ids is None else {"ids": np.array(ids)}
    arrays |= {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    absent = {"features", "study_tokens"} & arrays.keys() and "embeddings" not in arrays
    notes = ["embeddings are left out: the bundle lacks the alignment that they need."] if absent else []
    return EmbedResult(len(next(iter(arrays.values()))), list(skipped), notes)
