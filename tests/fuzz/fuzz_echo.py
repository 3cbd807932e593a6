"""Fuzzing of the echo readers: clips to start from, one target for each decoder, and what becomes of an input.

An input of the fuzzer is the bytes of one clip, or of a zip of studies.
"""

from __future__ import annotations

import io
import math
import os
import random
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fuzz_seeds  # noqa: F401 (makes the builders of the tests importable)
import numpy as np
from dicom_files import (
    HTJ2K_COLOUR,
    HTJ2K_GREY,
    HTJ2K_SYNTAXES,
    LOSSLESS,
    LOSSY,
    VIDEOS,
    flat_jpeg,
    jpeg_2000,
    video,
)
from echo_files import jpegs, known_frames, write_dicom, write_video, ycbcr
from fuzz_verdicts import Verdict, check_refusal, must, place_of
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
)

from inputs.echo.cine import MAX_CINE_BYTES, cine_webp
from inputs.echo.prepare import prepare_clip, small_clip, still_jpeg
from inputs.echo.read import read_echo
from inputs.echo.studies import studies_in
from inputs.echo.zips import unpack_studies
from inputs.errors import InputError
from inputs.records import EchoClip
from inputs.specs import EchoSpec

_MOST_FRAMES = 4
_SPECS = (EchoSpec(frames=_MOST_FRAMES, size=32), EchoSpec(frames=_MOST_FRAMES, size=32, mask_outside_sector=True))
_SCRATCH = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
_US = re.compile(rb"[\x18\x28]\x00..US\x02\x00(?P<value>..)", re.DOTALL)
_TEXT = re.compile(rb"[\x08\x18\x28]\x00..(?:IS|DS|CS|UI)(?P<length>..)", re.DOTALL)
_ITEM = re.compile(rb"\xfe\xff\x00\xe0(?P<length>....)", re.DOTALL)
_WRITTEN = (b"RGB", b"YBR_FULL", b"YBR_FULL_422", b"YBR_RCT", b"YBR_ICT", b"YBR_PARTIAL_420", b"MONOCHROME1",
            b"MONOCHROME2", b"PALETTE COLOR", b"0", b"1", b"2", b"3", b"-1", b"1e9", b"nan", b"10000",
            b"1\\2")  # fmt: skip
_WORDS = (0, 1, 2, 3, 4, 7, 8, 9, 10, 12, 15, 16, 24, 31, 32, 47, 64, 100, 255, 256, 4096, 65535)


# ---- what an input becomes


def judged_clip(data: bytes) -> Verdict:
    """A clip, read and then prepared with and without the mask, and its pictures."""
    with tempfile.NamedTemporaryFile(dir=_SCRATCH) as file:
        file.write(data)
        file.flush()
        try:
            clip = read_echo(Path(file.name), max_frames=_MOST_FRAMES)
        except InputError as error:
            return _refused(error)
    _check_clip(clip)
    for spec in _SPECS:
        try:
            must(bool(np.isfinite(prepare_clip(clip, spec)).all()), "a prepared clip that is not finite")
        except InputError as error:
            check_refusal(error)
    try:
        small = small_clip(clip)
        must(still_jpeg(small).startswith(b"\xff\xd8"), "a thumbnail that is no JPEG")
        cine = cine_webp(small)
        must(not cine or (cine.startswith(b"RIFF") and len(cine) <= MAX_CINE_BYTES), "a cine that is no small WebP")
    except InputError as error:
        check_refusal(error)
    return Verdict("answered")


def judged_studies(data: bytes) -> Verdict:
    """A zip of studies: unpacked, grouped, and every clip read."""
    folder = Path(tempfile.mkdtemp(dir=_SCRATCH))
    try:
        (archive := folder / "studies.zip").write_bytes(data)
        (into := folder / "into").mkdir()
        try:
            unpack_studies(archive, into)
            studies = studies_in(into)
        except InputError as error:
            return _refused(error)
        must(not any(path.is_symlink() for path in into.rglob("*")), "a zip that makes a link")
        must({path.name for path in folder.iterdir()} == {"studies.zip", "into"}, "a zip that leads out of its folder")
        for study in studies:
            for path in study.files:
                judged_clip(path.read_bytes())
        return Verdict("answered" if any(study.files for study in studies) else "elsewhere")
    finally:
        shutil.rmtree(folder)


def _check_clip(clip: EchoClip) -> None:
    must(clip.frames_THWC.dtype == np.uint8 and clip.frames_THWC.shape[3] == 3, "frames of another kind")
    must(2 <= len(clip.frames_THWC) <= _MOST_FRAMES, "a clip of an odd number of frames")
    rate_hz = clip.frame_rate_hz
    must(rate_hz is None or (math.isfinite(rate_hz) and 0.1 <= rate_hz <= 2000), "a rate that no machine has")
    must(clip.source_format in ("dicom", "avi", "mp4"), "an unknown format")


def _refused(error: InputError) -> Verdict:
    """In a reader's own words, or in those that DICOM has for whatever else was raised."""
    check_refusal(error)
    hidden = error.__context__
    if error.code == "dicom_damaged" and hidden is not None and not isinstance(hidden, InputError):
        return Verdict("last_resort", f"{type(hidden).__name__} at {place_of(hidden)}")
    return Verdict("refused", error.code)


# ---- what is started from


def _bytes_of(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(path := Path(folder) / "clip")
        return path.read_bytes()


def _dicom(frames: np.ndarray, data: bytes | list[bytes], **elements: object) -> bytes:
    return _bytes_of(lambda path: write_dicom(path, frames, data, **elements))


def _frames(n_frames: int = 3) -> np.ndarray:
    return known_frames(n_frames, rows=32, columns=48)


def _native() -> Iterator[bytes]:
    frames = _frames()
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        yield _dicom(frames, frames.tobytes(), syntax=syntax, FrameTime="20")
    yield _dicom(frames, ycbcr(frames).tobytes(), photometric="YBR_FULL", CineRate="50")
    grey = frames[..., :1]
    yield _dicom(grey, grey.tobytes(), photometric="MONOCHROME1", FrameTimeVector=["0", "20", "21"])
    words = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    yield _dicom(grey, grey.astype("<u2").tobytes(), photometric="MONOCHROME2", **words)
    yield _dicom(frames, [frame.tobytes() for frame in frames], syntax="1.2.840.10008.1.2.1.98")


def _baseline() -> Iterator[bytes]:
    frames = _frames()
    for subsampling in ("444", "422", "420"):
        yield _dicom(frames, jpegs(frames, subsampling), photometric="YBR_FULL_422", syntax=JPEGBaseline8Bit)
    yield _dicom(frames, jpegs(frames), photometric="YBR_FULL_422", syntax=JPEGBaseline8Bit, has_bot=False)


def _compressed(*parts: str) -> Callable[[], Iterator[bytes]]:
    """Of the syntaxes whose names have one of these in them, in colour."""

    def seeds() -> Iterator[bytes]:
        frames = _frames()
        encoders = {**{s: lambda f, e=e: e(f, 8) for s, e in LOSSLESS.items()}, **LOSSY}
        for syntax, encode in encoders.items():
            if any(part in syntax.name for part in parts):
                yield _dicom(frames, [encode(frame) for frame in frames], syntax=syntax)

    return seeds


def _jpeg_2000() -> Iterator[bytes]:
    yield from _compressed("JPEG 2000")()
    frames = _frames()
    mixed = [jpeg_2000(frame, transform=True) for frame in frames]
    yield _dicom(frames, mixed, photometric="YBR_RCT", syntax="1.2.840.10008.1.2.4.90")
    for samples, picture, photometric in ((1, HTJ2K_GREY, "MONOCHROME2"), (3, HTJ2K_COLOUR, "YBR_RCT")):
        square = np.zeros((2, 16, 16, samples), np.uint8)
        yield _dicom(square, [picture] * 2, photometric=photometric, syntax=HTJ2K_SYNTAXES[0])


def _lossless_and_twelve_bits() -> Iterator[bytes]:
    yield from _compressed("Lossless, Non-Hierarchical")()
    deep = np.zeros((2, 16, 24, 1), np.uint16)
    deep[0, :8] = 4095
    words = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "photometric": "MONOCHROME2"}
    yield _dicom(deep, [flat_jpeg(frame, 12) for frame in deep], syntax=JPEGExtended12Bit, **words)
    yield _dicom(deep, [LOSSLESS[JPEGLosslessSV1](frame, 12) for frame in deep], syntax=JPEGLosslessSV1, **words)


def _videos_in_dicom() -> Iterator[bytes]:
    frames = known_frames(4, rows=96, columns=128)
    for syntax, (codec, container) in VIDEOS.items():
        yield _dicom(frames, [video(frames, codec, container)], photometric="YBR_PARTIAL_420", syntax=syntax)


def _videos(container: str) -> Callable[[], Iterator[bytes]]:
    def seeds() -> Iterator[bytes]:
        for intra_only in (False, True):
            yield _bytes_of(
                lambda path, intra=intra_only: write_video(path, known_frames(4), container, intra_only=intra)
            )

    return seeds


def _zips() -> Iterator[bytes]:
    clip = next(_native())
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name in ("patient/one/1.dcm", "patient/two/2.dcm", "patient/notes.txt"):
                archive.writestr(name, clip if name.endswith("dcm") else b"a note")
        yield stream.getvalue()


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "clip-native": _native,
    "clip-jpeg": _baseline,
    "clip-jpeg-lossless": _lossless_and_twelve_bits,
    "clip-jpeg-ls": _compressed("JPEG-LS"),
    "clip-jpeg-2000": _jpeg_2000,
    "clip-rle": _compressed("RLE"),
    "clip-video": _videos_in_dicom,
    "clip-avi": _videos("avi"),
    "clip-mp4": _videos("mp4"),
    "studies": _zips,
}
"""By target: what it starts from."""
JUDGES: dict[str, Callable[[bytes], Verdict]] = {
    name: judged_studies if name == "studies" else judged_clip for name in SEEDS
}


# ---- what is changed


def changed_element(data: bytes, random_: random.Random) -> bytes:
    """A word or a text of the header, or the length of a fragment; the same where none is found."""
    pattern = random_.choice((_US, _US, _TEXT, _ITEM))
    found = [*pattern.finditer(data)][:200]
    if not found:
        return data
    hit = random_.choice(found)
    if pattern is _TEXT:
        (length,) = struct.unpack("<H", hit["length"])
        written = random_.choice(_WRITTEN).ljust(length)[:length]
        return data[: hit.end()] + written + data[hit.end() + length :]
    name = "value" if pattern is _US else "length"
    start, end = hit.span(name)
    value = int.from_bytes(hit[name], "little")
    near = random_.choice((value + 1, value - 1, 2 * value, random_.choice(_WORDS))) % (1 << 8 * (end - start))
    return data[:start] + near.to_bytes(end - start, "little") + data[end:]


def changed_fragment(data: bytes, random_: random.Random, plain: Callable[[bytes, int], bytes]) -> bytes:
    """What is in a fragment, of its own length or another that the item then says."""
    found = [hit for hit in _ITEM.finditer(data) if 8 < struct.unpack("<L", hit["length"])[0] <= len(data) - hit.end()]
    if not found:
        return data
    hit = random_.choice(found)
    (length,) = struct.unpack("<L", hit["length"])
    held = plain(data[hit.end() : hit.end() + length], length + random_.choice((0, 0, 0, 64)))
    held += b"\0" * (len(held) % 2)
    return data[: hit.start("length")] + struct.pack("<L", len(held)) + held + data[hit.end() + length :]
