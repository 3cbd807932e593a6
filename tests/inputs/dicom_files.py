"""Frames encoded in every way that DICOM knows, each by the shortest encoder that its standard allows.

Letters: T frames, H rows, W columns, S samples of a pixel, N values one behind the other.
"""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import jpeg_ls
import numpy as np
import openjpeg
from numpy.typing import NDArray
from pydicom.uid import (
    HEVCMP51,
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    MPEG4HP41,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

Frame = NDArray[Any]

ADOBE = {
    "RGB": b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00",
    "YCbCr": b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01",
}


def run_lengths(frame_HWS: Frame) -> bytes:
    """PS3.5 annex G with literal runs alone: a segment for each byte of each sample, the high one first."""
    n_bytes = frame_HWS.dtype.itemsize
    planes = frame_HWS.astype(f">u{n_bytes}").view(np.uint8).reshape(*frame_HWS.shape, n_bytes)
    segments = []
    for sample in range(frame_HWS.shape[2]):
        for byte in range(n_bytes):
            values = planes[:, :, sample, byte].tobytes()
            runs = [values[at : at + 128] for at in range(0, len(values), 128)]
            segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
            segments.append(segment + b"\0" * (len(segment) % 2))
    starts = [64 + sum(map(len, segments[:n])) for n in range(len(segments))]
    return (
        struct.pack("<L", len(segments)) + struct.pack("<15L", *starts, *[0] * (15 - len(starts))) + b"".join(segments)
    )


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _entropy_coded(values_NK: list[list[int]], ends: str) -> bytes:
    """Differences under a code of five bits for each category, with `ends` behind each; T.81 F.1.2.1 and H.1.2.2."""
    bits = []
    for values in values_NK:
        for value in values:
            category = int(abs(value)).bit_length()
            bits.append(f"{category:05b}")
            if 0 < category < 16 or value < 0:  # of 32768 in lossless JPEG the category says all
                bits.append(f"{value if value > 0 else value + (1 << category) - 1:0{category}b}")
            bits.append(ends)
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\x00")


def _jpeg(
    start_of_frame: int, bits: int, shape: tuple[int, ...], tables: bytes, scan: bytes, more: bytes = b""
) -> bytes:
    rows, columns, samples = shape
    ids = range(1, samples + 1)
    frame = struct.pack(">BHHB", bits, rows, columns, samples) + b"".join(bytes([i, 0x11, 0]) for i in ids)
    n_categories = 17 if start_of_frame == 0xC3 else 16
    categories = bytes([0, 0, 0, 0, 0, n_categories, *[0] * 11]) + bytes(range(n_categories))
    head = bytes([samples]) + b"".join(bytes([i, 0]) for i in ids)
    last = b"\x01\0\0" if start_of_frame == 0xC3 else b"\0\x3f\0"
    parts = [
        more,
        tables,
        _segment(start_of_frame, frame),
        _segment(0xC4, categories),
        _segment(0xDA, head + last),
        scan,
    ]
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


def lossless_jpeg(frame_HWS: Frame, bits: int = 8) -> bytes:
    """Process 14 with the first predictor: the pixel to the left, or above in the first column."""
    values = frame_HWS.astype(int)
    predicted = np.empty_like(values)
    predicted[:, 1:], predicted[1:, 0], predicted[0, 0] = values[:, :-1], values[:-1, 0], 1 << (bits - 1)
    differences = (values - predicted + 32_767) % 65_536 - 32_767
    scan = _entropy_coded([differences.ravel().tolist()], "")
    return _jpeg(0xC3, bits, frame_HWS.shape, b"", scan)


def flat_jpeg(frame_HWS: Frame, bits: int, more: bytes = b"") -> bytes:
    """Sequential JPEG of 8 or 12 bits, exact where every 8 x 8 block has one value. `more`: segments at its start."""
    blocks = frame_HWS[::8, ::8].astype(int)
    assert (np.kron(blocks, np.ones((8, 8, 1), int)) == frame_HWS).all()
    levels = 8 * (blocks.reshape(-1, blocks.shape[2]) - (1 << (bits - 1)))
    differences = np.diff(levels, axis=0, prepend=0)
    scan = _entropy_coded(differences.tolist(), "0")
    tables = _segment(0xDB, bytes([0]) + bytes([1]) * 64) + _segment(0xC4, bytes([0x10, 1, *[0] * 15, 0]))
    return _jpeg(0xC1, bits, frame_HWS.shape, tables, scan, more)


def jpeg_ls_picture(frame_HWS: Frame, error: int = 0) -> bytes:
    if frame_HWS.shape[2] == 1:
        return bytes(jpeg_ls.encode_array(np.ascontiguousarray(frame_HWS[..., 0]), error))
    return bytes(jpeg_ls.encode_array(np.ascontiguousarray(frame_HWS), error, 2))


def jpeg_2000(frame_HWS: Frame, bits: int = 8, *, transform: bool = False, lossy: bool = False) -> bytes:
    """`transform`: the codestream's own colour transform."""
    values = np.ascontiguousarray(frame_HWS if frame_HWS.shape[2] == 3 else frame_HWS[..., 0])
    colours = (1 if transform else 3) if frame_HWS.shape[2] == 3 else 2
    more = {"signal_noise_ratios": [80]} if lossy else {}
    return bytes(openjpeg.encode(values, bits, colours, transform, codec_format=0, **more))


LOSSLESS: dict[str, Callable[[Frame, int], bytes]] = {
    RLELossless: lambda frame, _bits: run_lengths(frame),
    JPEGLossless: lossless_jpeg,
    JPEGLosslessSV1: lossless_jpeg,
    JPEGLSLossless: lambda frame, _bits: jpeg_ls_picture(frame),
    JPEG2000Lossless: jpeg_2000,
}
"""By transfer syntax: what encodes a frame of so many bits without loss."""

LOSSY: dict[str, Callable[[Frame], bytes]] = {
    JPEGLSNearLossless: lambda frame: jpeg_ls_picture(frame, 2),
    JPEG2000: lambda frame: jpeg_2000(frame, lossy=True),
    JPEGExtended12Bit: lambda frame: flat_jpeg(frame, 8),
}

HTJ2K_SYNTAXES = (HTJ2KLossless, HTJ2K)
HTJ2K_GREY = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABBwEB/1AACAACAAAAAv9SAAwAAgABAAUEBEAB/1wAEyBIUFBQUFBQUFBQUFBQ"
    "SEhI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAGUAAf+TwCX1AId0AADAEsASgP4Ah3QAkAEHdADAEsATAN4AAnQASOQAI1QAwBPAFSDu"
    "7qCnwnUAohDiwAAB7LYAwCrgFWAkSZLnwKenp0J4AG7btv2Se/ZJ7LgA/9k="
)
"""High-throughput JPEG 2000 without loss: 16 x 16, 8 * row + 7 * column."""
HTJ2K_COLOUR = base64.b64decode(
    "/0//UQAvQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAAA/9SAAwAAgABAQUEBEAB/1wAEyBQWFhYWFhY"
    "WFhYWFhYUFBQ/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAS0AAf+TwBKA3QCHdADAEoAyAYd0AMASgMYAh3QAAAAAwAlgBKDiAAd0AP4A"
    "x3QAwAlgBKDHAQd0ANEBB3QAwAlgBKD2AAd0ANAAh3QAwAlgBIAAAMJ0AMwTUwDACaAEwOP4AIJ0AOfzACNUAMAJYATAqgDCdAAo+gADVADACeAFSADw"
    "oKdCdQAAiIgFAxyttgDACogBUjHG+KpwAnUA85zzwAAB7LYAwAngBUAk+aCnQnUAUkT+wcnstQDAFRAE4ADn1PT08ncAAP2DrrqWAMAVkAW4VVVVVefA"
    "p6enwngAAAAAAAAAUFBQUFBQUFAcgIPIDHAGgBoqVK2+AMAVMAW0AADn6enp4ncAAAAAAAAAAAAAAAAABICCSAxwBoAaKlStvgD/2Q=="
)
"""The same as red, its transpose halved as green, and 255 less red as blue."""


def htj2k_values(samples: int) -> Frame:
    grey = np.add.outer(8 * np.arange(16), 7 * np.arange(16)).astype(np.uint8)
    return grey[..., None] if samples == 1 else np.stack([grey, grey.T // 2, 255 - grey], axis=-1)


VIDEOS = {MPEG2MPML: ("mpeg2video", "mpegvideo"), MPEG4HP41: ("libx264", "mp4"), HEVCMP51: ("libx265", "hevc")}
"""By transfer syntax: FFmpeg's encoder, and a container that such files have their stream in."""


def video(frames_THWC: NDArray[np.uint8], codec: str, container: str) -> bytes:
    """At 25 frames per second."""
    stream = io.BytesIO()
    with av.open(stream, "w", format={"mpegvideo": "mpeg2video"}.get(container, container)) as out:
        track = out.add_stream(codec, rate=Fraction(25))
        track.height, track.width = frames_THWC.shape[1:3]
        track.pix_fmt, track.bit_rate = "yuv420p", 8_000_000
        if codec == "libx265":
            track.options = {"x265-params": "log-level=none"}
        for frame in frames_THWC:
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(track.encode())
    return stream.getvalue()
