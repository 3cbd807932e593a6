"""Grey sequences as research data sets keep them, NIfTI (.nii, .nii.gz) and MetaImage (.mhd with .raw): no uploads.

Letters in array names: T frames, H rows, W columns, C colours. Both formats store x fastest, then y, then time.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ground.extras import ExtraMissing, require
from inputs.echo.formats.base import frames_to_read
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_DECODED_BYTES, MAX_METAIMAGE_HEADER_BYTES
from inputs.opened import File, PlacedFile, open_regular_file
from inputs.records import EchoClip

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTES = "MET_UCHAR"
_UNZIPPED_AT_ONCE = 2**24


def read_stack(file: File) -> EchoClip:
    """A grey sequence as a clip of three equal colours, without a rate, told apart by content.

    Raises UnreadableFile for what is neither, is damaged, has fewer than two pictures or values that are no greys from
    0 to 255. A MetaImage's pixels lie in a file of a plain name beside its header.
    """
    with open_regular_file(file) as opened:
        content = opened.read(MAX_DECODED_BYTES)
    if b"ObjectType" in content[:MAX_METAIMAGE_HEADER_BYTES]:
        return _clip(_of_metaimage(content, file), "metaimage")
    return _clip(_of_nifti(_unzipped(content) if content.startswith(_GZIP) else content), "nifti")


def _clip(frames_THW: NDArray[np.uint8], source_format: str) -> EchoClip:
    return EchoClip(np.repeat(frames_THW[..., np.newaxis], 3, axis=-1), None, source_format)


def _of_nifti(content: bytes) -> NDArray[np.uint8]:
    try:
        nifti1 = require("nibabel.nifti1", "Reading a NIfTI file")
    except ExtraMissing as error:
        raise UnreadableFile("format_not_installed", error.sentence, hint=error.hint) from error
    try:
        image = nifti1.Nifti1Image.from_bytes(content)
        shape = image.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        columns, rows, n_frames = _sizes(shape)
        _check_end(image.dataobj.offset + columns * rows * n_frames * image.get_data_dtype().itemsize, content)
        values = np.asanyarray(image.dataobj).reshape(columns, rows, n_frames, order="F")
    except (InputError, MemoryError):
        raise
    except Exception as error:  # whatever a parser makes of a header without sense
        raise UnreadableFile("nifti_damaged", "The file is no NIfTI file, or a damaged one.") from error
    return _greys(values).transpose(2, 1, 0)


def _of_metaimage(content: bytes, file: File) -> NDArray[np.uint8]:
    header = _metaimage_header(content)
    if header.get("elementtype") != _UNSIGNED_BYTES:
        raise UnreadableFile("metaimage_type", f"Of MetaImage files only those of type {_UNSIGNED_BYTES} are read.")
    try:
        columns, rows, n_frames = _sizes(tuple(int(size) for size in header["dimsize"].split()))
    except (KeyError, ValueError):
        raise UnreadableFile("metaimage_damaged", "The MetaImage header states no sizes.") from None
    name = header.get("elementdatafile", "")
    if name in ("", "LOCAL", "LIST", "..") or name != Path(name).name:
        raise UnreadableFile("metaimage_elsewhere", "The MetaImage header names no single file beside it.")
    expected = columns * rows * n_frames
    with open_regular_file(_beside(file, name)) as opened:
        pixels = opened.read(MAX_DECODED_BYTES)
    if header.get("compresseddata", "").lower() == "true":
        try:
            pixels = zlib.decompressobj().decompress(pixels, expected + 1)
        except zlib.error:
            raise UnreadableFile("metaimage_damaged", "The pixels of the MetaImage are damaged.") from None
    if len(pixels) != expected:
        raise UnreadableFile("file_truncated", "The pixels of the MetaImage are not as many as its header says.")
    return np.frombuffer(pixels, np.uint8).reshape(n_frames, rows, columns)


def _metaimage_header(content: bytes) -> dict[str, str]:
    if len(content) > MAX_METAIMAGE_HEADER_BYTES:
        raise UnreadableFile("metaimage_damaged", "The MetaImage header is too long to be one.")
    pairs = (line.partition("=") for line in content.decode("latin-1").splitlines())
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _beside(file: File, name: str) -> File:
    if isinstance(file, PlacedFile):
        return PlacedFile(file.path.with_name(name), file.under)
    return file.with_name(name)


def _check_end(ends: int, content: bytes) -> None:
    if ends > len(content):
        raise UnreadableFile("file_truncated", "The file ends before its header says.")


def _sizes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Columns, rows and frames, within limits. Raises UnreadableFile."""
    if len(shape) != 3:
        raise UnreadableFile("not_a_sequence", "The file holds no sequence of pictures in two dimensions.")
    columns, rows, n_frames = (int(size) for size in shape)
    frames_to_read(n_frames, rows, columns, None)
    return columns, rows, n_frames


def _greys(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Raises UnreadableFile for values that are no whole numbers from 0 to 255."""
    if values.dtype == np.uint8:
        return values.view(np.uint8)
    if values.dtype.kind not in "iuf" or not math.isfinite(float(values.sum())):
        raise UnreadableFile("not_grey", "The values of the sequence are no greys.")
    greys = values.clip(0, 255).astype(np.uint8)
    if not np.array_equal(greys, values):
        raise UnreadableFile("not_grey", "The values of the sequence are not greys from 0 to 255.")
    return greys


def _unzipped(content: bytes) -> bytes:
    """Piece by piece, for a read allocates what it is asked for."""
    unzipped = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while piece := file.read(_UNZIPPED_AT_ONCE):
                unzipped += piece
                if len(unzipped) > MAX_DECODED_BYTES:
                    sentence = f"The file unpacks to more than {MAX_DECODED_BYTES / 2**30} GiB."
                    raise UnreadableFile("clip_too_large", sentence)
    except (OSError, EOFError, zlib.error):
        raise UnreadableFile("file_truncated", "The file is damaged, or ends too early.") from None
    return bytes(unzipped)
