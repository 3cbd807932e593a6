"""One compressed picture to its samples. Each decoder is named in `dicom_syntaxes`, and is asked for nothing else.

    jpeg            libjpeg-turbo (simplejpeg), and Pillow for samplings that its interface does not know; 12 bits: GDCM
    jpeg lossless   GDCM, of the extra `gdcm`
    jpeg-ls         CharLS (pyjpegls)
    jpeg 2000       OpenJPEG (pylibjpeg-openjpeg), high throughput included
    rle             pylibjpeg-rle

Sizes are looked at in the picture's own header before a decoder makes room for them. What a decoder raises on damaged
pictures becomes one refusal that names the compression. Letters: H rows, W columns, S samples.
"""

from __future__ import annotations

import importlib
import io
import struct
from types import ModuleType
from typing import Any, Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from inputs.echo.formats.dicom_codestreams import Codestream, holds_another, read_codestream, segments
from inputs.echo.formats.dicom_colours import Samples
from inputs.echo.formats.dicom_header import PixelLayout
from inputs.echo.formats.dicom_judged import judged_ycbcr
from inputs.echo.formats.dicom_syntaxes import EXPORT, Syntax, not_decoded, not_read
from inputs.errors import InputError, UnreadableFile

_INSTALL_GDCM = f"Install the extra gdcm (pip install 'echo2ecg[gdcm]'). Or: {EXPORT[0].lower()}{EXPORT[1:]}"
_GDCM_SYNTAX = {"jpeg": "1.2.840.10008.1.2.4.51", "jpeg lossless": "1.2.840.10008.1.2.4.57"}
_APP0, _APP14 = 0xE0, 0xEE
_END = b"\xff\xd9"
_RLE_TABLE = struct.Struct("<16L")
_DAMAGED = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")

_CLEARLY_MORE, _STRAY_SHARE = 1.25, 0.001
"""Lossy compression makes white text and its edges larger than the largest sample, but seldom by a quarter. Where a
thousandth of a frame is larger still the header is wrong, since white text alone is more than that; less is damage."""


class MoreBits(UnreadableFile):
    """Samples are larger than the header leaves room for."""


class Pictures:
    """Decodes the frames of one file. Raises UnreadableFile."""

    def __init__(self, syntax: Syntax, layout: PixelLayout) -> None:
        self._syntax = syntax
        self._layout = layout
        if syntax.decoder == "jpeg lossless":
            _gdcm(syntax.name)
        self._is_first = True
        self._ycbcr: bool | None = None
        """What the first frame that had to be judged by its bytes was found to be."""

    def decode(self, picture: bytes, into_HWC: NDArray[np.uint8]) -> Samples:
        """The samples of one frame, of the header's size. They may lie in `into_HWC`, which saves a copy of RGB."""
        try:
            if self._syntax.decoder == "rle":
                return self._rle(picture)
            return self._codestream(picture, into_HWC)
        except (InputError, MemoryError):
            raise
        except Exception:  # each decoder has errors of its own, and some quote what they read
            raise not_decoded(self._syntax.name) from None

    def _codestream(self, picture: bytes, into_HWC: NDArray[np.uint8]) -> Samples:
        about = read_codestream(picture)
        if self._is_first and holds_another(picture):
            raise UnreadableFile(
                "frames_missing", "Fragments of the clip hold more than one picture each.", hint=EXPORT
            )
        self._is_first = False
        if about.kind != self._syntax.decoder:
            raise not_decoded(self._syntax.name)
        if (about.rows, about.columns) != (self._layout.rows, self._layout.columns):
            raise UnreadableFile("frame_size", "A frame has another size than the header says.")
        if about.components not in (1, 3) or not 1 < about.bits <= 16:
            raise not_decoded(self._syntax.name)
        if about.signed:
            raise UnreadableFile("pixels_signed", "Signed pixel values are not read.", hint=EXPORT)
        if about.kind == "jpeg" and about.bits == 8:
            return self._jpeg(picture, about, into_HWC)
        decoders = {"jpeg": _by_gdcm, "jpeg lossless": _by_gdcm, "jpeg-ls": _jpeg_ls, "jpeg 2000": _jpeg_2000}
        values_HWS = decoders[about.kind](picture, about)
        if values_HWS.shape != (about.rows, about.columns, about.components):
            raise not_decoded(self._syntax.name)
        bits = about.bits
        if self._layout.stored < bits <= self._layout.allocated:  # it has room for more bits than are used
            values_HWS, bits = stored_bits(values_HWS, self._layout), self._layout.stored
        return Samples(values_HWS, bits, "YCbCr" if about.subsampled else None)

    def _jpeg(self, picture: bytes, about: Codestream, into_HWC: NDArray[np.uint8]) -> Samples:
        """Of 8 bits: grey, or RGB whatever the picture holds."""
        if about.components == 1 or self._layout.is_grey:
            return Samples(_turbo(picture, "GRAY"), 8)
        wanted: Literal["RGB", "YCbCr"] = "YCbCr" if self._is_ycbcr(picture, about) else "RGB"
        return Samples(_turbo(said_to_be(wanted, picture, about), "RGB", into_HWC), 8, "RGB")

    def _is_ycbcr(self, picture: bytes, about: Codestream) -> bool:
        """Whether the three components are YCbCr: header and markers say it, and the bytes of the first frame.

        Where header and markers agree, the bytes overrule them only where they leave no doubt.
        """
        if about.subsampled:
            return True
        if self._ycbcr is not None:
            return self._ycbcr
        labelled = "RGB" if self._layout.photometric == "RGB" else "YCbCr"
        agree = about.colours in (labelled, None if labelled == "YCbCr" else labelled)
        values_HWS = _turbo(said_to_be("RGB", picture, about), "RGB")
        judged = judged_ycbcr(values_HWS, said_ycbcr=labelled == "YCbCr" or not agree, certain=agree)
        if judged is None:  # blank: the next frame may tell
            return labelled == "YCbCr"
        self._ycbcr = judged
        return judged

    def _rle(self, picture: bytes) -> Samples:
        from rle.utils import decode_pixel_data

        layout = self._layout
        (n_segments,) = struct.unpack_from("<L", picture)
        n_bytes = layout.allocated // 8
        samples, left_over = divmod(n_segments, n_bytes)
        if samples not in (1, 3) or left_over:
            raise not_decoded(self._syntax.name)
        data = decode_pixel_data(
            picture, version=2, rows=layout.rows, columns=layout.columns, bits_allocated=layout.allocated
        )
        values_SHW = np.frombuffer(data, f"<u{n_bytes}").reshape(samples, layout.rows, layout.columns)
        return Samples(stored_bits(values_SHW.transpose(1, 2, 0), layout), layout.stored)


def is_run_lengths(picture: bytes) -> bool:
    """Whether it begins with the table of an RLE picture: how many segments, and where they start (PS3.5 annex G.5)."""
    if len(picture) < _RLE_TABLE.size:
        return False
    n, *starts = _RLE_TABLE.unpack_from(picture)
    used = starts[:n]
    return 0 < n <= len(starts) and used[0] == _RLE_TABLE.size and used == sorted(used) and not any(starts[n:])


def stored_bits(values_HWS: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Of words as they lie in the file the bits that belong to the sample: above and below may lie overlays.

    Unless the header says of an overlay that it lies above, what is larger becomes the largest. Raises MoreBits where
    too much is too large.
    """
    most = (2 << layout.high_bit) - 1
    if not layout.overlaid and layout.high_bit + 1 < layout.allocated:
        if (values_HWS > int(most * _CLEARLY_MORE)).mean() > _STRAY_SHARE:
            raise MoreBits(
                "pixel_bits",
                f"The header says that pixels have {layout.stored} bits for a sample, and they have more.",
                hint=EXPORT,
            )
        values_HWS = np.minimum(values_HWS, most)
    below = layout.high_bit + 1 - layout.stored
    if below or layout.stored < layout.allocated:
        return (values_HWS >> below) & ((1 << layout.stored) - 1)
    return values_HWS


def _turbo(
    jpeg: bytes, colours: Literal["RGB", "GRAY"], into_HWC: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    try:
        decoded = simplejpeg.decode_jpeg(jpeg, colorspace=colours, buffer=into_HWC)
    except ValueError as error:
        if str(error).startswith(_DAMAGED):
            # Pillow would pass over damage without a word; what only follows the pixels, or lacks there, is none.
            decoded = simplejpeg.decode_jpeg(_ended(jpeg), colorspace=colours, buffer=into_HWC)
        else:
            with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as opened:
                values = np.asarray(opened.convert("RGB" if colours == "RGB" else "L"), np.uint8)
            return values if colours == "RGB" else values[..., None]
    return np.asarray(decoded, np.uint8) if into_HWC is None else into_HWC


def _ended(jpeg: bytes) -> bytes:
    """With its end behind its last byte that is not zero: a scan that is whole ends with bits that are set."""
    end = jpeg.rfind(_END)
    scan = (jpeg if end < 0 else jpeg[:end]).rstrip(b"\0")
    return scan + (b"\0" if scan.endswith(b"\xff") else b"") + _END


def said_to_be(colours: Literal["RGB", "YCbCr"], jpeg: bytes, about: Codestream) -> bytes:
    """A JPEG that libjpeg takes for these colours: with an Adobe marker in place of its own, where it has another."""
    if about.taken_for == colours:
        return jpeg
    kept = [jpeg[start:end] for marker, start, end in segments(jpeg) if marker not in (_APP0, _APP14)]
    rest = max(end for _marker, _start, end in segments(jpeg))
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + (b"\0" if colours == "RGB" else b"\1")
    return b"".join([b"\xff\xd8", adobe, *kept, jpeg[rest:]])


def _jpeg_ls(picture: bytes, about: Codestream) -> NDArray[Any]:
    import jpeg_ls

    values: NDArray[Any] = jpeg_ls.jlsread(picture)
    return values.reshape(about.rows, about.columns, about.components)


def _jpeg_2000(picture: bytes, about: Codestream) -> NDArray[Any]:
    from openjpeg.utils import decode

    values: NDArray[Any] = decode(picture[about.start :], j2k_format=0)
    return values.reshape(about.rows, about.columns, about.components)


def _gdcm(name: str) -> ModuleType:
    """Raises UnreadableFile, with the name of the compression, where the extra is not installed."""
    try:
        return importlib.import_module("gdcm")
    except ModuleNotFoundError:
        raise not_read(name, _INSTALL_GDCM) from None


def _by_gdcm(picture: bytes, about: Codestream) -> NDArray[Any]:
    gdcm = _gdcm(f"JPEG of {about.bits} bits")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(picture)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())

    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((about.columns, about.rows, 1))
    image.SetDataElement(element)
    colours = (
        gdcm.PhotometricInterpretation.RGB if about.components == 3 else gdcm.PhotometricInterpretation.MONOCHROME2
    )
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(colours))
    image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(_GDCM_SYNTAX[about.kind])))
    allocated = 8 if about.bits <= 8 else 16
    image.SetPixelFormat(gdcm.PixelFormat(about.components, allocated, about.bits, about.bits - 1, 0))
    data = image.GetBuffer().encode("utf-8", "surrogateescape")  # it gives bytes as text
    return np.frombuffer(data, f"<u{allocated // 8}").reshape(about.rows, about.columns, about.components)
