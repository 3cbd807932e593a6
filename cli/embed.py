"""Files to vectors in an .npz, without an index or a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cli.console import ProgressCallback
from inputs.ecg_prepare import ecg_windows, prepare_ecg
from inputs.ecg_read import read_ecg_path
from inputs.echo_prepare import prepare_clip
from inputs.echo_read import read_echo
from inputs.errors import InputError, UnreadableFile
from models.bundle import Bundle

ECHO_SUFFIXES = ("", ".dcm", ".avi", ".mp4")


@dataclass
class EmbedResult:
    """How many were written, and one sentence for each that was not."""

    written: int = 0
    skipped: list[str] = field(default_factory=list)


def embed_ecg_files(
    files: Sequence[Path],
    bundle_dir: Path,
    output: Path,
    *,
    rate_hz: float | None,
    unit: str | None,
    device: str,
    progress: ProgressCallback,
) -> EmbedResult:
    """Write `ids` (N,), `features` (N, F) and unit `embeddings` (N, D); a file that cannot be used is skipped."""
    bundle = Bundle.load(bundle_dir, device=device, parts=("ecg",))
    result, ids, features, embeddings = EmbedResult(), [], [], []
    for done, path in enumerate(files, start=1):
        try:
            recording = read_ecg_path(path, rate_hz=rate_hz, unit=unit)
            windows_WLN = ecg_windows(prepare_ecg(recording, bundle.manifest.ecg), bundle.manifest.ecg)
        except InputError as error:
            result.skipped.append(f"{path.name}: {error.message} {error.hint}".rstrip())
            continue
        answer = bundle.embed_ecgs(windows_WLN[None])
        ids.append(path.name)
        features.append(answer.features_BF[0])
        embeddings.append(answer.embeddings_BD[0])
        progress(done, len(files), path.name)
    result.written = len(ids)
    _save(output, ids=np.array(ids), features=_stack(features), embeddings=_stack(embeddings))
    return result


def embed_echo_studies(
    studies: Sequence[Path], bundle_dir: Path, output: Path, *, device: str, progress: ProgressCallback
) -> EmbedResult:
    """Write `ids`, `study_tokens` (N, S), unit `embeddings` (N, D) and `pool_weights` (N, V), 0 without a view."""
    bundle = Bundle.load(bundle_dir, device=device, parts=("echo",))
    spec = bundle.manifest.echo
    result, ids, tokens, embeddings, weights = EmbedResult(), [], [], [], []
    for done, folder in enumerate(studies, start=1):
        clips = []
        for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in ECHO_SUFFIXES)[: spec.max_views]:
            try:
                clips.append(prepare_clip(read_echo(path, max_frames=spec.frames * spec.stride), spec))
            except UnreadableFile as error:
                result.skipped.append(f"{folder.name}/{path.name}: {error.message}")
        if not clips:
            result.skipped.append(f"{folder.name}: no readable clip.")
            continue
        study = bundle.pool_study(bundle.embed_clips(np.stack(clips)))
        ids.append(folder.name)
        tokens.append(study.token)
        embeddings.append(study.embedding_D)
        weights.append(study.pool_weights_V)
        progress(done, len(studies), folder.name)
    result.written = len(ids)
    width = max((len(w) for w in weights), default=0)
    padded = np.zeros((len(weights), width), np.float32)
    for row, study_weights in zip(padded, weights, strict=True):
        row[: len(study_weights)] = study_weights
    _save(output, ids=np.array(ids), study_tokens=_stack(tokens), embeddings=_stack(embeddings), pool_weights=padded)
    return result


def _stack(rows: list[np.ndarray]) -> np.ndarray:
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)


def _save(output: Path, **arrays: np.ndarray) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
