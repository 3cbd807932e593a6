"""Arrays that somebody prepared already to vectors in an .npz, in the same order.

Letters in array names: N studies, ECGs or clips, L leads, T samples, V views, W view-vector length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cli.embed import EmbedResult, save_vectors
from embedding.vectors import ecg_vectors, study_vectors
from ground.progress import Progress
from inputs.ecg.prepare import ecg_windows
from inputs.errors import UnreadableFile
from inputs.specs import EcgSpec
from models.bundle import Bundle

ECGS_AT_A_TIME = 64
STUDIES_AT_A_TIME = 32
CLIPS_AT_A_TIME = 4

USUAL_SD = (0.4, 2.5)
"""Standard deviations of a lead group in one window of a prepared ECG: 1 over the whole record, 0.56 to 1.46 in the
first 2.52 s of 307 ECGs, real and simulated. Most records in millivolt lie below, those in microvolt far above."""


def embed_prepared_ecgs(file: Path, bundle_dir: Path, output: Path, *, device: str, progress: Progress) -> EmbedResult:
    """(N, L, T) float32 after preparation, T at least one window, to what `ecg_vectors` gives.

    Windows are cut as the bundle's specification says. The whole array is looked at before anything is computed; one
    that is refused by no rule but does not look prepared gets a note.
    """
    bundle = Bundle.load(bundle_dir, device=device, parts=("ecg",))
    spec = bundle.manifest.ecg
    signals_NLT = _numbers(_open_npy(file), (None, len(spec.leads), None), file.name)
    samples, needed = signals_NLT.shape[2], spec.window_samples
    if samples < needed:
        seconds = f"{needed / spec.rate_hz:.2f} s at {spec.rate_hz:g} Hz"
        raise _refused(f"The ECGs of {file.name} have {samples} samples per lead; {needed} ({seconds}) are needed.")
    notes = _check_prepared(signals_NLT, spec, file.name)
    rows = []
    for start, batch_BLT in _batches(signals_NLT, ECGS_AT_A_TIME):
        rows.append(ecg_vectors(bundle, np.stack([ecg_windows(signal_LT, spec) for signal_LT in batch_BLT])))
        progress(start + len(batch_BLT), len(signals_NLT), file.name)
    result = save_vectors(output, rows)
    result.notes.extend(notes)
    return result


def embed_prepared_views(file: Path, bundle_dir: Path, output: Path, *, device: str, progress: Progress) -> EmbedResult:
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
    bad = np.flatnonzero((present_NV & ~np.isfinite(views_NVW).all(axis=2)).any(axis=1))
    if len(bad):
        raise _refused(f"Study {bad[0]} of {file.name} has numbers that are not finite in a present view.")
    rows = []
    for start, views_BVW in _batches(views_NVW, STUDIES_AT_A_TIME):
        rows.append(study_vectors(bundle, views_BVW, present_NV[start : start + STUDIES_AT_A_TIME]))
        progress(start + len(views_BVW), len(views_NVW), file.name)
    return save_vectors(output, rows)


def embed_prepared_clips(file: Path, bundle_dir: Path, output: Path, *, device: str, progress: Progress) -> EmbedResult:
    """(N, 3, frames, size, size) float32, normalised, to `clip_embeddings` (N, W), not of unit length."""
    bundle = Bundle.load(bundle_dir, device=device, parts=("echo",))
    spec = bundle.manifest.echo
    clips_NCTHW = _numbers(_open_npy(file), (None, 3, spec.frames, spec.size, spec.size), file.name)
    for start, batch_BCTHW in _batches(clips_NCTHW, CLIPS_AT_A_TIME):
        _check_finite(batch_BCTHW, start, file.name)
    rows = []
    for start, batch_BCTHW in _batches(clips_NCTHW, CLIPS_AT_A_TIME):
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
    """The same array, in any byte order, once its type and its shape (None: any positive length) are those expected."""
    if array.size == 0:
        raise _refused(f"{name} is empty: its shape is {array.shape}.")
    fits = array.ndim == len(shape) and all(want in (None, n) for n, want in zip(array.shape, shape, strict=True))
    if array.dtype.type is not np.float32 or not fits:
        expected = ", ".join("any" if want is None else str(want) for want in shape)
        raise _refused(f"{name} is {array.dtype.name} {array.shape}; float32 ({expected}) was expected.")
    return cast("NDArray[np.float32]", array)


def _check_prepared(signals_NLT: NDArray[np.float32], spec: EcgSpec, name: str) -> list[str]:
    """Refuse what is not finite; a sentence where signals have not the size that preparation gives them."""
    low, high = USUAL_SD
    unusual: list[tuple[int, float]] = []
    for start, batch_BLT in _batches(signals_NLT, ECGS_AT_A_TIME):
        _check_finite(batch_BLT, start, name)
        for first, last in spec.normalisation_groups:
            sd_B = batch_BLT[:, first:last].std(axis=(1, 2), dtype=np.float64)
            unusual += [(start + int(i), sd_B[i]) for i in np.flatnonzero((sd_B < low) | (sd_B > high))]
    if not unusual:
        return []
    count, (row, sd) = len({row for row, _ in unusual}), min(unusual)
    sentence = (
        f"{count} of {len(signals_NLT)} ECGs in {name} do not look prepared: preparation gives each lead group a "
        f"standard deviation of 1, and in row {row} one has {sd:.3g}."
    )
    return [sentence]


def _batches(array: NDArray[np.float32], size: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, len(array), size):
        yield start, np.array(array[start : start + size], dtype=np.float32)


def _check_finite(batch: NDArray[np.float32], start: int, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(batch).reshape(len(batch), -1).all(axis=1))
    if len(bad):
        raise _refused(f"Row {start + bad[0]} of {name} has numbers that are not finite.")


def _refused(sentence: str) -> UnreadableFile:
    return UnreadableFile("not_prepared", sentence)
