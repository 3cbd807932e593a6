"""Frames of pixel data that are not compressed. Letters: H rows, W columns, S samples (colours), P pairs of columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inputs.echo.formats.dicom_colours import Samples
from inputs.echo.formats.dicom_decoders import stored_bits
from inputs.echo.formats.dicom_header import PixelLayout
from inputs.echo.formats.dicom_syntaxes import EXPORT
from inputs.errors import UnreadableFile

_SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")
_FIRST_FRAMES, _FIRST_BYTES = 3, 8 * 2**20
"""How many frames, and bytes at most, tell how long a row is."""
_PLANE_BYTES = 2**19
"""Of the middle of a frame: enough to tell planes by."""
_CLEARLY = 0.75
"""A length of rows is the right one where rows differ so much less from the next than with another length."""
_NO_DIFFERENCE = 0.05
"""Grey levels by which the rows of a picture differ that shows nothing."""


@dataclass(frozen=True)
class NativeFrames:
    """How the frames of one clip lie one behind the other: how many, in what form, and in what order of bytes."""

    layout: PixelLayout
    form: _Form
    n_frames: int
    planar: bool
    big_endian: bool

    @property
    def frame_bytes(self) -> int:
        return self.form.row_bytes * self.layout.rows

    def samples(self, data: bytes) -> Samples:
        """One frame of `frame_bytes` bytes."""
        layout = self.layout
        order = ">" if self.big_endian else "<"
        values = np.frombuffer(data, f"{order}u{layout.allocated // 8}")
        samples = self.form.samples
        if self.form.subsampled:
            values_HWS = _full_samples(values.reshape(layout.rows, -1, 4))[:, : layout.columns]
            return Samples(values_HWS, 8, "YCbCr of partial range" if "PARTIAL" in layout.photometric else "YCbCr")
        if self.planar and samples == 3:
            values_HWS = values.reshape(3, layout.rows, layout.columns).transpose(1, 2, 0)
        else:
            values_HWS = values.reshape(layout.rows, layout.columns, samples)
        values_HWS = values_HWS.astype(values.dtype.newbyteorder("="), copy=False)
        return Samples(stored_bits(values_HWS, layout), layout.stored)


def native_frames(layout: PixelLayout, n_bytes: int, read: Callable[[int], bytes], *, big_endian: bool) -> NativeFrames:
    """Of `n_bytes` bytes of pixel data, the first of which `read` gives.

    The bytes that there are decide what a pixel has: YBR_FULL_422 keeps two of them, but what is written under this
    name often has three, and headers that are written anew after a conversion say what was before it. Where header and
    length do not agree, the rows of the first frames tell how long they are. Raises UnreadableFile where nothing tells
    it, and where the pixels are of a form that the header leaves no room for.
    """
    if layout.is_grey and layout.samples != 1:
        raise UnreadableFile("colours_disagree", "The header says grey, and three samples for every pixel.")
    said, others = _forms(layout)
    declared = layout.declared_frames

    def fits(form: _Form, n_frames: int | None) -> bool:
        frame_bytes = form.row_bytes * layout.rows
        return 0 <= (n_bytes - n_frames * frame_bytes if n_frames else n_bytes % frame_bytes) <= 1

    fitting = [form for form in said if fits(form, declared)]
    if fitting:  # a wrong number of frames may make the length fit another form
        possible, others = [form for form in said if fits(form, None)], []
    else:
        possible, others = said, [form for form in others if declared and fits(form, declared)]
    form = possible[0]
    if len(possible) + len(others) > 1:
        data = read(min(n_bytes, _FIRST_FRAMES * layout.rows * said[0].row_bytes, _FIRST_BYTES))
        form = _by_rows(np.frombuffer(data, np.uint8), possible, others, fitting[0] if len(fitting) == 1 else None)
    if form.refusal is not None:
        raise form.refusal
    if layout.photometric == "YBR_PARTIAL_420" and n_bytes < (declared or 1) * form.row_bytes * layout.rows:
        raise UnreadableFile("pixel_colours", "Pixels sub-sampled as YBR_PARTIAL_420 are read where a codec did it.")
    n_frames = declared or n_bytes // (form.row_bytes * layout.rows)
    planar = layout.planar
    if form.samples == 3 and not form.subsampled:
        first = read(min(n_bytes, form.row_bytes * layout.rows))
        if layout.allocated == 16:
            words = np.frombuffer(first, ">u2" if big_endian else "<u2")
            planar = _in_planes((words >> max(0, layout.high_bit - 7)).astype(np.uint8), layout)
        else:
            planar = _in_planes(np.frombuffer(first, np.uint8), layout)
    return NativeFrames(layout, form, n_frames, planar, big_endian)


def _in_planes(frame: NDArray[np.uint8], layout: PixelLayout) -> bool:
    """Whether the three samples lie in planes of their own, as the header says where the middle of a frame can be that.

    In planes the pixel below is as many bytes on as a row has columns, else three times as many.
    """
    skipped = max(0, len(frame) - _PLANE_BYTES) // 2
    middle = frame[skipped : len(frame) - skipped]
    if len(middle) <= 2 * 3 * layout.columns:  # too few rows to compare
        return layout.planar
    apart, together = _difference(middle, layout.columns), _difference(middle, 3 * layout.columns)
    if layout.planar:
        return not together < _CLEARLY * apart
    return apart < _CLEARLY * together


@dataclass(frozen=True)
class _Form:
    """What a pixel may be stored as. refusal: of what is recognised and not read.

    lag_bytes: from one pixel to the one below it, where that is no row of bytes: in planes.
    """

    row_bytes: int
    samples: int = 1
    subsampled: bool = False
    refusal: UnreadableFile | None = None
    lag_bytes: int = 0


def _forms(layout: PixelLayout) -> tuple[list[_Form], list[_Form]]:
    """Those that the header may mean, the likeliest first; and those that are met under such a header all the same."""
    columns = layout.columns
    if layout.allocated == 16:
        half = UnreadableFile("pixel_bits", "The header says 16 bits for a sample, and the pixels have 8.", hint=EXPORT)
        samples = layout.samples
        return [_Form(2 * samples * columns, samples)], [_Form(samples * columns, samples, refusal=half)]
    double = UnreadableFile("pixel_bits", "The header says 8 bits for a sample, and the pixels have 16.", hint=EXPORT)
    one, three = _Form(columns), _Form(3 * columns, 3, lag_bytes=columns if layout.planar else 0)
    halved = _Form(4 * -(-columns // 2), 3, subsampled=True)
    if not layout.says_colours and layout.samples == 1:
        colours = UnreadableFile(
            "colours_disagree", "The header says one sample for every pixel, and there are three.", hint=EXPORT
        )
        return [one], [_Form(2 * columns, refusal=double), _Form(3 * columns, refusal=colours)]
    said = [halved, three] if layout.photometric in _SUBSAMPLED else [three]
    if layout.samples == 1:  # under a label of colours
        said.append(one)
    return said, [form for form in (halved, _Form(6 * columns, refusal=double)) if form not in said]


def _by_rows(data: NDArray[np.uint8], said: list[_Form], others: list[_Form], fitting: _Form | None) -> _Form:
    """The form whose rows are like the next ones; not `fitting`, or one of `others`, only where it is clearly that.

    Raises UnreadableFile where none fits the length, and the pixels show nothing or two forms are alike.
    """
    differences = {form: _difference(data, form.lag_bytes or form.row_bytes) for form in (*said, *others)}
    best, *next_best = sorted(said, key=lambda form: differences[form])
    other = min(others, key=lambda form: differences[form], default=None)
    if fitting is not None:
        return best if differences[best] < _CLEARLY * differences[fitting] else fitting
    if max(differences.values()) < _NO_DIFFERENCE:
        raise _lengths_disagree()
    if other is not None and differences[other] < _CLEARLY * differences[best]:
        return other
    if next_best and differences[best] > _CLEARLY * differences[next_best[0]]:
        raise _lengths_disagree()
    return best


def _difference(data: NDArray[np.uint8], row_bytes: int) -> float:
    """The mean from each byte to the one a row further on."""
    values = data.astype(np.int16)
    return float(np.abs(values[row_bytes:] - values[:-row_bytes]).mean()) if len(values) > row_bytes else 255.0


def _lengths_disagree() -> UnreadableFile:
    return UnreadableFile(
        "colours_disagree",
        "The header and the length of the pixels do not agree on how many bytes a pixel has.",
        hint=EXPORT,
    )


def swapped(read: Callable[[int, int], bytes], at: int, length: int) -> bytes:
    """Bytes of 16-bit words in big-endian order, which hold 8-bit samples the other way round."""
    first = at - at % 2
    data = read(first, length + at % 2 + (length + at) % 2)
    return np.frombuffer(data, "<u2").byteswap().tobytes()[at - first :][:length]


def _full_samples(quads_HP4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two luminances and one pair of colours for two pixels -> all three for each."""
    n_rows, n_pairs = quads_HP4.shape[:2]
    values_HPWS = np.empty((n_rows, n_pairs, 2, 3), np.uint8)
    values_HPWS[..., 0] = quads_HP4[..., :2]
    values_HPWS[..., 1:] = quads_HP4[:, :, None, 2:]
    return values_HPWS.reshape(n_rows, 2 * n_pairs, 3)
