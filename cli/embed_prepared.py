"""Arrays that somebody prepared already to vectors in an .npz, in the same order.

Letters in array names: N studies, ECGs or clips, L leads, T samples, V views, W view-vector length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cli.console import ProgressCallback
from cli.embed import EmbedResult, ecg_vectors, save_vectors, study_vectors
from inputs.ecg_prepare import ecg_windows
from inputs.errors import UnreadableFile
from models.bundle import Bundle

ECGS_AT_A_TIME = 64
STUDIES_AT_A_TIME = 32
CLIPS_AT_A_TIME = 4


def embed_prepared_ecgs(
    file: Path, bundle_dir: Path, output: Path, *, device: str, progress: ProgressCallback
) -> EmbedResult:
    """(N, L, T) float32 after preparation, T at least one window, to what `ecg_vectors` gives.

    Windows are cut as the bundle's specification says.
    """
    bundle = Bundle.load(bundle_dir, device=device, parts=("ecg",))
    spec = bundle.manifest.ecg
    signals_NLT = _numbers(_open_npy(file), (None, len(spec.leads), None), file.name)
    rows = []
    for start, batch_BLT in _batches(signals_NLT, ECGS_AT_A_TIME, file.name):
        rows.append(ecg_vectors(bundle, np.stack([ecg_windows(signal_LT, spec) for signal_LT in batch_BLT])))
        progress(start + len(batch_BLT), len(signals_NLT), file.name)
    return save_vectors(output, rows)


def embed_prepared_views(
    file: Path, bundle_dir: Path, output: Path, *, device: str, progress: ProgressCallback
) -> EmbedResult:
    """`views` (N, V, W) float32 and `present` (N, V) bool to what `study_vectors` gives.

    What stands in an absent slot does not matter.
    """
    bundle = Bundle.load(bundle_dir, device=device, parts=("echo",))
    views, present = _open_npz(file, ("views", "present"))
    views_NVW = _numbers(views, (None, None, bundle.manifest.architecture.view_dim), f"views of {file.name}")
    if present.dtype != np.bool_ or present.shape != views_NVW.shape[:2]:
        raise _refused(
            f"present of {file.name} is {present.dtype} {present.shape}; bool {views_NVW.shape[:2]} was expected."
        )
    present_NV = present.astype(np.bool_, copy=False)
    without_views = np.flatnonzero(~present_NV.any(axis=1))
    if len(without_views):
        raise _refused(f"Study {without_views[0]} of {file.name} has no view that is present.")
    rows = []
    for start in range(0, len(views_NVW), STUDIES_AT_A_TIME):
        views_BVW, present_BV = (
            views_NVW[start : start + STUDIES_AT_A_TIME],
            present_NV[start : start + STUDIES_AT_A_TIME],
        )
        bad = np.flatnonzero((present_BV & ~np.isfinite(views_BVW).all(axis=2)).any(axis=1))
        if len(bad):
            raise _refused(f"Study {start + bad[0]} of {file.name} has numbers that are not finite in a present view.")
        rows.append(study_vectors(bundle, views_BVW, present_BV))
        progress(start + len(views_BVW), len(views_NVW), file.name)
    return save_vectors(output, rows)


def embed_prepared_clips(
    file: Path, bundle_dir: Path, output: Path, *, device: str, progress: ProgressCallback
) -> EmbedResult:
    """(N, 3, frames, size, size) float32, normalised, to `clip_embeddings` (N, W), not of unit length."""
    bundle = Bundle.load(bundle_dir, device=device, parts=("echo",))
    spec = bundle.manifest.echo
    clips_NCTHW = _numbers(_open_npy(file), (None, 3, spec.frames, spec.size, spec.size), file.name)
    rows = []
    for start, batch_BCTHW in _batches(clips_NCTHW, CLIPS_AT_A_TIME, file.name):
        rows.append({"clip_embeddings": bundle.embed_clips(batch_BCTHW)})
        progress(start + len(batch_BCTHW), len(clips_NCTHW), file.name)
    return save_vectors(output, rows)


def _open_npy(file: Path) -> NDArray[np.generic]:
    """The array, mapped: neither its header nor its length decides how much memory is taken."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header fails in many ways: ValueError, OSError, TokenError, ...
        raise _refused(f"{file.name} is not a NumPy array file (.npy).") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise _refused(f"{file.name} holds several arrays; one in a .npy file was expected.")
    return array


def _open_npz(file: Path, names: tuple[str, ...]) -> list[NDArray[np.generic]]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except Exception as error:  # as above, and BadZipFile, KeyError, MemoryError, ...
        raise _refused(f"{file.name} is not a .npz file with the arrays {' and '.join(names)}.") from error


def _numbers(array: NDArray[np.generic], shape: tuple[int | None, ...], name: str) -> NDArray[np.float32]:
    """The same array, once its type and its shape (None: any positive length) are those expected."""
    fits = array.ndim == len(shape) and all(n and want in (None, n) for n, want in zip(array.shape, shape, strict=True))
    if array.dtype != np.float32 or not fits:
        expected = ", ".join("any" if want is None else str(want) for want in shape)
        raise _refused(f"{name} is {array.dtype} {array.shape}; float32 ({expected}) was expected.")
    return array.astype(np.float32, copy=False)


def _batches(array: NDArray[np.float32], size: int, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, len(array), size):
        batch = np.array(array[start : start + size])
        bad = np.flatnonzero(~np.isfinite(batch).reshape(len(batch), -1).all(axis=1))
        if len(bad):
            raise _refused(f"Row {start + bad[0]} of {name} has numbers that are not finite.")
        yield start, batch


def _refused(sentence: str) -> UnreadableFile:
    return UnreadableFile("not_prepared", sentence)
