"""One clip to a prepared array: what training keeps in its store and what the echo encoder eats.

Letters: T frames, H rows, W columns, C colours.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from embedding.local import Reader
from embedding.sources import spec_hash
from inputs.echo.cine import CINE_FRAMES
from inputs.echo.prepare import prepare_clip
from inputs.errors import InputError
from inputs.opened import File
from inputs.records import EchoClip
from inputs.specs import EchoSpec

_MASK_LAYOUT = "6"
"""Raised when masks of the same clip change."""


def clip_store_name(spec: EchoSpec) -> str:
    """Of the folder, in a work folder, that keeps what `clip_bytes` gives for this specification."""
    return f"clips-{spec_hash(spec)}" + (f"-{_MASK_LAYOUT}" if spec.mask_outside_sector else "")


def read_clip(path: File, spec: EchoSpec, reader: Reader) -> EchoClip:
    """The frames of a clip that preparation takes. Raises InputError."""
    return reader.read_echo(path, max_frames=spec.frames_needed, every=spec.stride)


def read_clip_to_show(path: File, spec: EchoSpec, reader: Reader) -> EchoClip:
    """As `read_clip`, which has the same first frames, and more of them where a moving picture wants more.

    What the encoder does not see costs no view: where further frames are damaged, or too many, there are none. Raises
    InputError.
    """
    try:
        return reader.read_echo(path, max_frames=max(spec.frames_needed, CINE_FRAMES), every=spec.stride)
    except InputError:
        return read_clip(path, spec, reader)


def clip_bytes(path: File, spec: EchoSpec, reader: Reader) -> NDArray[np.uint8]:
    """The prepared clip before normalisation, (T, H, W, C) uint8: a quarter of the size, and nothing is lost."""
    prepared_CTHW = prepare_clip(read_clip(path, spec, reader), spec)
    grey_levels: NDArray[np.float32] = prepared_CTHW.transpose(1, 2, 3, 0) * _row(spec.std) + _row(spec.mean)
    return np.rint(grey_levels).astype(np.uint8)


def normalised_clip(clip_THWC: NDArray[np.uint8], spec: EchoSpec) -> NDArray[np.float32]:
    """What `prepare_clip` gave (C, T, H, W), from what `clip_bytes` kept."""
    normalised: NDArray[np.float32] = (clip_THWC.astype(np.float32) - _row(spec.mean)) / _row(spec.std)
    return np.ascontiguousarray(normalised.transpose(3, 0, 1, 2))


def _row(values: Iterable[float]) -> NDArray[np.float32]:
    return np.array(tuple(values), np.float32)
