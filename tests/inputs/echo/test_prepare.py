"""Echo preparation agrees with the published numbers, with a plain per-frame twin, and never crashes on odd shapes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from inputs.echo.prepare import (
    model_crop,
    prepare_clip,
    thumbnail_jpeg,
)
from inputs.echo.sector import sector_mask
from inputs.errors import UnusableRecording
from inputs.records import EchoClip
from inputs.specs import EchoSpec

DATA = Path(__file__).parents[1] / "data"
VECTORS = np.load(DATA / "echo_frame_vectors.npz")
"""Published preparation of seeded frames: rows of the cropped image, and points of the normalised one."""
SUMS = np.load(DATA / "echo_frame_sums.npz")
"""Of every row and of every column of the same cropped images, by colour."""


def seeded_frame(index: int) -> NDArray[np.uint8]:
    """The frame that the vectors were made from: smooth colour waves, a bright fan, noise."""
    height, width = VECTORS["sizes_hw"][index]
    generator = np.random.default_rng([int(VECTORS["seed"]), 500 + index])
    y, x = np.mgrid[0:height, 0:width]
    image = np.empty((height, width, 3))
    for colour in range(3):
        fx, fy, phase = generator.uniform(0.5, 6), generator.uniform(0.5, 6), generator.uniform(0, 6.28)
        image[..., colour] = 90 + 70 * np.sin(2 * np.pi * (fx * x / width + fy * y / height) + phase)
    radius = np.hypot(y, x - width / 2.0)
    image[(radius > 0.2 * height) & (radius < 0.9 * height) & (np.abs(x - width / 2.0) < 0.7 * y)] += 60
    image += generator.normal(0, 12, size=image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def clip_of(frames: NDArray[np.uint8]) -> EchoClip:
    return EchoClip(np.ascontiguousarray(frames), 30.0, "test")


def noise_clip(n_frames: int, rows: int, columns: int, seed: int = 0) -> EchoClip:
    return clip_of(np.random.default_rng(seed).integers(0, 256, (n_frames, rows, columns, 3), dtype=np.uint8))


def twin(clip: EchoClip, spec: EchoSpec) -> NDArray[np.float32]:
    """The same preparation, one frame and one step at a time."""
    prepared = []
    for index in range(0, spec.frames * spec.stride, spec.stride):
        if index < len(clip.frames_THWC):
            frame = clip.frames_THWC[index]
            height, width = frame.shape[:2]
            cut = round((max(height, width) - min(height, width)) / 2)
            if width > height:
                frame = frame[:, cut : width - cut]
            elif height > width:
                frame = frame[cut : height - cut]
            by, bx = int(frame.shape[0] * spec.zoom), int(frame.shape[1] * spec.zoom)
            frame = frame[by : frame.shape[0] - by, bx : frame.shape[1] - bx]
            frame = cv2.resize(frame, (spec.size, spec.size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        elif spec.padding == "black_frames":
            frame = np.zeros((spec.size, spec.size, 3), np.float32)
        else:
            prepared.append(np.zeros((spec.size, spec.size, 3), np.float32))
            continue
        prepared.append((frame - np.float32(spec.mean)) / np.float32(spec.std))
    return np.stack(prepared).transpose(3, 0, 1, 2)


def test_published_frames_are_reproduced_within_one_grey_level_in_one_of_ten_thousand_pixels():
    spec = EchoSpec(frames=1)
    off_by_one, compared = 0, 0
    off_in_sums = {"row": 0, "column": 0}
    for index in range(len(VECTORS["sizes_hw"])):
        frame = seeded_frame(index)
        assert hashlib.sha256(frame.tobytes()).hexdigest() == VECTORS["sha256"][index]
        prepared_CHW = prepare_clip(clip_of(frame[None]), spec)[:, 0]
        if f"cropped_{index}_every_8th_row" not in VECTORS:
            continue  # the published code crashed here, see below
        grey_HWC = np.rint(prepared_CHW.transpose(1, 2, 0) * spec.std + spec.mean)
        difference = np.abs(grey_HWC[::8] - VECTORS[f"cropped_{index}_every_8th_row"])
        assert difference.max() <= 1
        off_by_one += int((difference > 0).sum())
        compared += difference.size
        for axis, kind in ((1, "row"), (0, "column")):
            off = np.abs(grey_HWC.sum(axis=axis) - SUMS[f"{kind}_sums_{index}"])
            off_in_sums[kind] += int(np.rint(off).sum())
        points_off = np.abs(prepared_CHW[:, ::16, ::16] - VECTORS[f"normalised_{index}_every_16th"])
        assert np.quantile(points_off, 0.99) <= 1e-6
    assert compared == 8 * 28 * 224 * 3
    assert off_by_one < compared * 1e-4
    assert max(off_in_sums.values()) < 8 * 224 * 224 * 3 * 1e-4


@pytest.mark.parametrize("shape", [(301, 300), (300, 301), (300, 300), (302, 300)])
def test_frames_that_are_square_but_for_a_pixel_keep_all_of_it(shape: tuple[int, int]):
    clip = noise_clip(2, *shape)
    rows, columns = model_crop(*shape, zoom=0.0)
    assert (rows.stop - rows.start, columns.stop - columns.start) in {(301, 300), (300, 301), (300, 300)}
    assert np.isfinite(prepare_clip(clip, EchoSpec(frames=2, stride=1))).all()


@pytest.mark.parametrize("longer_by", range(12))
def test_the_longer_side_loses_half_the_difference_at_each_end_halves_to_even(longer_by: int):
    rows, columns = model_crop(100, 100 + longer_by, zoom=0.0)
    assert rows == slice(0, 100)
    cut = round(longer_by / 2)
    assert columns == slice(cut, 100 + longer_by - cut)
    assert model_crop(100 + longer_by, 100, zoom=0.0) == (columns, rows)


def test_zoom_drops_a_tenth_of_each_side_at_each_end():
    assert model_crop(224, 224, zoom=0.1) == (slice(22, 202), slice(22, 202))
    assert model_crop(480, 640, zoom=0.1) == (slice(48, 432), slice(128, 512))


@pytest.mark.parametrize("padding", ["black_frames", "zeros_after_normalising"])
@pytest.mark.parametrize("n_frames", [1, 5, 31, 32, 40])
@pytest.mark.parametrize("shape", [(60, 80), (90, 70)])
def test_any_clip_equals_the_per_frame_twin(shape: tuple[int, int], n_frames: int, padding: str):
    spec = EchoSpec(size=48, padding=padding)
    clip = noise_clip(n_frames, *shape)
    prepared = prepare_clip(clip, spec)
    assert prepared.shape == (3, 16, 48, 48)
    assert prepared.dtype == np.float32
    assert prepared.flags.c_contiguous
    np.testing.assert_allclose(prepared, twin(clip, spec), rtol=0, atol=1e-6)


def test_padding_is_black_before_normalising_or_zero_after_it():
    clip = noise_clip(6, 60, 60)
    black = prepare_clip(clip, EchoSpec(size=32))
    zeros = prepare_clip(clip, EchoSpec(size=32, padding="zeros_after_normalising"))
    spec = EchoSpec()
    expected = -np.float32(spec.mean) / np.float32(spec.std)
    np.testing.assert_allclose(black[:, 3:].reshape(3, -1).T - expected, 0, atol=1e-6)
    assert (zeros[:, 3:] == 0).all()
    np.testing.assert_array_equal(black[:, :3], zeros[:, :3])


def test_frames_after_the_thirty_second_do_not_matter():
    long = noise_clip(60, 50, 60)
    np.testing.assert_array_equal(
        prepare_clip(long, EchoSpec(size=32)), prepare_clip(clip_of(long.frames_THWC[:32]), EchoSpec(size=32))
    )


def test_a_clip_read_every_second_frame_is_prepared_like_the_whole():
    whole = noise_clip(40, 50, 60)
    half = EchoClip(np.ascontiguousarray(whole.frames_THWC[:32:2]), 15.0, "test", frame_step=2)
    np.testing.assert_array_equal(prepare_clip(whole, EchoSpec(size=32)), prepare_clip(half, EchoSpec(size=32)))
    with pytest.raises(ValueError, match="stride 3"):
        prepare_clip(half, EchoSpec(size=32, stride=3))


def test_a_single_pixel_and_an_empty_clip_are_handled_without_a_crash():
    assert np.isfinite(prepare_clip(noise_clip(2, 1, 1), EchoSpec(size=8))).all()
    with pytest.raises(UnusableRecording, match="no frames"):
        prepare_clip(clip_of(np.empty((0, 10, 10, 3), np.uint8)), EchoSpec())
    with pytest.raises(UnusableRecording, match="too small"):
        prepare_clip(noise_clip(2, 4, 1), EchoSpec())


# ---- sector mask


def beating_fan(n_frames: int = 16, rows: int = 240, columns: int = 320) -> tuple[EchoClip, NDArray[np.bool_]]:
    """Speckle that moves inside a fan; outside it still text-like marks and a thin moving trace."""
    generator = np.random.default_rng(4)
    y, x = np.mgrid[0:rows, 0:columns]
    angle, radius = np.arctan2(x - columns / 2, y - 8), np.hypot(y - 8, x - columns / 2)
    fan = (np.abs(angle) < 0.7) & (radius > 12) & (radius < 200)
    frames = np.zeros((n_frames, rows, columns, 3), np.uint8)
    cavity = (x - 160) ** 2 + (y - 120) ** 2 < 30**2
    for frame in frames:
        frame[fan & ~cavity] = generator.integers(20, 200, ((fan & ~cavity).sum(), 1), dtype=np.uint8)
        frame[4:14, 4:60] = 255  # a still name plate
        frame[225:227, generator.integers(0, 300) :] = (0, 255, 0)  # a running trace
    return clip_of(frames), fan


def test_the_sector_mask_keeps_the_moving_fan_and_drops_still_text_and_thin_traces():
    clip, fan = beating_fan()
    mask = sector_mask(clip.frames_THWC).astype(bool)
    assert (mask & fan).sum() / (mask | fan).sum() > 0.93
    assert mask[120, 160]  # a still, dark cavity inside stays
    assert not mask[4:14, 4:60].any()
    assert not mask[222:230].any()


def test_masking_blackens_only_what_lies_outside_the_sector():
    clip, _fan = beating_fan()
    plain = prepare_clip(clip, EchoSpec(size=64, zoom=0.0))
    masked = prepare_clip(clip, EchoSpec(size=64, zoom=0.0, mask_outside_sector=True))
    np.testing.assert_allclose(plain[:, :, 25:35, 28:36], masked[:, :, 25:35, 28:36], atol=1e-6)
    assert plain[1, :, 59:62].max() > 1.0
    assert masked[1, :, 59:62].max() < -0.5


def test_a_thumbnail_is_a_small_square_jpeg_without_the_margins():
    clip, _fan = beating_fan()
    thumbnail = simplejpeg.decode_jpeg(thumbnail_jpeg(clip, side=96), colorspace="RGB")
    assert thumbnail.shape == (96, 96, 3)
    assert thumbnail[:6, :6].max() < 40
    assert thumbnail[40:70, 40:56].mean() > 20
