"""Reading and preparing one JPEG clip, against plain pydicom and a per-frame preparation, in one run.

    python -m benchmarks.echo_prepare [--rows 600 --columns 800 --frames 64 --repeats 7]

Three ways to the same 16 prepared frames of the same file: ours, which decodes no others; pydicom iterating over the
first 32 frames; and pydicom's `pixel_array` of the whole cine. Then every frame is read and none prepared, by both.
pydicom decodes with the plugin that is named, for what it would choose depends on what is installed. Prints medians,
ratios and the largest difference.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import iter_pixels, pixel_array
from pydicom.uid import JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage, generate_uid

from inputs.echo.prepare import prepare_clip
from inputs.echo.read import read_echo
from inputs.specs import EchoSpec

SPEC = EchoSpec()
NEEDED = SPEC.frames * SPEC.stride
PLUGIN = "pillow"
"""The fastest that pydicom has for JPEG baseline, and the one that it asks where no other is installed."""


def write_clip(path: Path, frames: int, rows: int, columns: int) -> None:
    """A speckled, moving fan on black with a little colour, as JPEG baseline YBR_FULL_422."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[0:rows, 0:columns]
    fan = (np.abs(np.arctan2(x - columns / 2, y + 1)) < 0.7) & (np.hypot(y, x - columns / 2) < 0.95 * rows)
    speckle = cv2.GaussianBlur(generator.normal(90, 60, (rows, columns, 1)).astype(np.float32), (0, 0), 1.5)
    encoded = []
    for index in range(frames):
        grey = np.clip(np.roll(speckle, index, axis=0) + 20 * np.sin(y / 40 + index / 5), 0, 255) * fan
        frame = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        frame[rows // 3 : rows // 2, columns // 2 :, 2] //= 2
        encoded.append(simplejpeg.encode_jpeg(np.ascontiguousarray(frame), quality=90, colorsubsampling="422"))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UltrasoundMultiFrameImageStorage, generate_uid()
    ds = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = meta.MediaStorageSOPClassUID, generate_uid(), "US"
    ds.NumberOfFrames, ds.Rows, ds.Columns, ds.SamplesPerPixel = frames, rows, columns, 3
    ds.PhotometricInterpretation, ds.PlanarConfiguration = "YBR_FULL_422", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = encapsulate(encoded)
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)


def prepare_per_frame(frames: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Crop, zoom, resize and normalise one frame after the other, as a first version would."""
    prepared = []
    for frame in frames[: NEEDED : SPEC.stride]:
        height, width = frame.shape[:2]
        cut = round(abs(width - height) / 2)
        if cut:
            frame = frame[:, cut:-cut] if width > height else frame[cut:-cut]
        by, bx = int(frame.shape[0] * SPEC.zoom), int(frame.shape[1] * SPEC.zoom)
        resized = cv2.resize(frame[by:-by, bx:-bx], (SPEC.size, SPEC.size), interpolation=cv2.INTER_CUBIC)
        prepared.append((resized.astype(np.float64) - SPEC.mean) / SPEC.std)
    return np.stack(prepared).transpose(3, 0, 1, 2)


def median_ms(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 600), ("columns", 800), ("frames", 64), ("repeats", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if options.frames < NEEDED:
        parser.error(f"--frames must be at least {NEEDED}")
    cv2.setNumThreads(1)  # one core each: the index rebuild runs one process per core

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.dcm"
        write_clip(path, options.frames, options.rows, options.columns)
        clip = read_echo(path, max_frames=NEEDED)
        ways: dict[str, Callable[[], NDArray[np.floating]]] = {
            "ours": lambda: prepare_clip(read_echo(path, max_frames=NEEDED, every=SPEC.stride), SPEC),
            f"pydicom with {PLUGIN}, the first {NEEDED} frames": lambda: prepare_per_frame(
                list(iter_pixels(path, indices=range(NEEDED), decoding_plugin=PLUGIN))
            ),
            f"pydicom with {PLUGIN}, the whole cine": lambda: prepare_per_frame(
                list(pixel_array(path, decoding_plugin=PLUGIN))
            ),
        }
        ours = ways["ours"]()
        size_mb = path.stat().st_size / 1e6
        print(f"{options.frames} frames {options.rows} x {options.columns}, JPEG, {size_mb:.1f} MB, one thread")
        baseline_ms = 0.0
        for name, way in ways.items():
            off = float(np.abs(way() - ours).max())
            took_ms = median_ms(way, options.repeats)
            baseline_ms = baseline_ms or took_ms
            print(
                f"{name:40s} {took_ms:8.1f} ms   {took_ms / baseline_ms:5.1f} x ours   largest difference {off:.3f} SD"
            )
        off_by = np.abs(read_echo(path).frames_THWC.astype(np.int16) - pixel_array(path, decoding_plugin=PLUGIN)).max()
        reading_ms = median_ms(lambda: read_echo(path), options.repeats)
        rival_ms = median_ms(lambda: pixel_array(path, decoding_plugin=PLUGIN), options.repeats)
        print(
            f"all {options.frames} frames to RGB, none prepared: ours {reading_ms:.1f} ms, pydicom with {PLUGIN} "
            f"{rival_ms:.1f} ms: {rival_ms / reading_ms:.1f} times; largest difference {off_by} grey levels"
        )
        preparing_ms = median_ms(lambda: prepare_clip(clip, SPEC), options.repeats)
        per_frame_ms = median_ms(lambda: prepare_per_frame(list(clip.frames_THWC)), options.repeats)
        print(f"of which preparing: ours {preparing_ms:.1f} ms, per frame {per_frame_ms:.1f} ms")


if __name__ == "__main__":
    main()
