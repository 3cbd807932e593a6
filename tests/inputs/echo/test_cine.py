"""A cine is small, moves at the speed of the heart, and shows nothing that its still does not."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from echo_scenes import drifting, fan, margins, trace
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from inputs.echo.cine import CINE_FRAMES, LONGEST_S, MAX_CINE_BYTES, cine_webp
from inputs.echo.prepare import small_clip, still_jpeg, thumbnail_jpeg
from inputs.records import EchoClip


def pulsing(n_frames: int, rate_hz: float | None = 30.0, *, frame_step: int = 1, side: int = 160) -> EchoClip:
    """A bright grainy disc that grows and shrinks, already small."""
    rows, columns = np.mgrid[:side, :side] - side / 2
    grain = np.random.default_rng(0).integers(80, 200, (side, side), np.uint8)
    frames = np.zeros((n_frames, side, side, 3), np.uint8)
    for number, frame_HWC in enumerate(frames):
        inside = np.hypot(rows, columns) < side * (0.3 + 0.1 * np.sin(number / 3))
        frame_HWC[inside] = grain[inside][:, None]
    return EchoClip(frames, rate_hz, "test", frame_step=frame_step)


def shown(webp: bytes) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Frames and the milliseconds that each is shown for."""
    picture, frames, durations_ms = Image.open(io.BytesIO(webp)), [], []
    assert (picture.format, picture.info["loop"]) == ("WEBP", 0)
    for frame in ImageSequence.Iterator(picture):
        frames.append(np.asarray(frame.convert("RGB")))
        durations_ms.append(int(frame.info["duration"]))
    return frames, durations_ms


@pytest.mark.parametrize(
    ("rate_hz", "n_held", "n_shown", "lasts_s"),
    [
        (30.0, 24, 12, 0.8),
        (30.0, 90, 23, 1.533),
        (25.0, 60, 19, 1.52),
        (12.5, 16, 16, 1.28),
        (60.0, 60, 15, 1.0),
        (6.0, 4, 4, 0.667),
        (0.5, 4, 2, 4.0),
        (1000.0, 60, 2, 0.118),
    ],
)
def test_every_frame_lasts_as_long_as_it_did_and_the_loop_as_a_heartbeat_or_so(rate_hz, n_held, n_shown, lasts_s):
    frames, durations_ms = shown(cine_webp(pulsing(n_held, rate_hz)))
    assert len(frames) == n_shown
    assert sum(durations_ms) == pytest.approx(1000 * lasts_s, abs=1)
    assert max(durations_ms) - min(durations_ms) <= 1


def test_a_clip_without_a_rate_is_taken_for_one_of_thirty_frames_a_second():
    stated, unstated = pulsing(40, 15.0, frame_step=2), pulsing(40, None, frame_step=2)
    assert cine_webp(unstated) == cine_webp(stated)


def test_the_frames_shown_are_those_of_the_clip_in_their_order():
    clip = pulsing(20, 14.0)
    frames, _ = shown(cine_webp(clip))
    for frame_HWC, expected_HWC in zip(frames, clip.frames_THWC, strict=True):
        assert np.abs(frame_HWC.astype(int) - expected_HWC).mean() < 12


def test_slow_motion_of_a_dim_heart_adds_up():
    small = EchoClip(drifting(fan(160, 160, 11), period=40, gain=0.5).frames_THWC, 14.0, "test")
    frames, _ = shown(cine_webp(small))
    first, last = (small.frames_THWC[at].astype(float) for at in (0, -1))
    change = (frames[-1].astype(float) - frames[0]) * (last - first)
    assert change.sum() > 0.6 * ((last - first) ** 2).sum()


def test_whatever_it_shows_a_cine_is_bounded():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (CINE_FRAMES, 160, 160, 3), np.uint8)
    for clip in (EchoClip(noise, 14.0, "test"), EchoClip(noise, 20.0, "test"), EchoClip(noise, 0.1, "test")):
        webp = cine_webp(clip)
        assert 0 < len(webp) <= MAX_CINE_BYTES
        frames, durations_ms = shown(webp)
        assert len(frames) >= 2
        assert sum(durations_ms) <= 1000 * max(LONGEST_S + 0.2, 40)


def test_what_is_cut_to_fit_keeps_its_speed():
    noise = np.random.default_rng(0).integers(0, 256, (21, 160, 160, 3), np.uint8)
    (small, fewer), (whole, all_of_them) = (
        shown(cine_webp(clip)) for clip in (EchoClip(noise, 14.0, "t"), pulsing(21, 14.0))
    )
    assert len(small) < len(whole) or small[0].shape < whole[0].shape
    assert sum(fewer) == pytest.approx(sum(all_of_them), rel=0.15)


def test_one_frame_or_a_black_clip_has_no_cine():
    assert cine_webp(pulsing(1)) == b""
    black = pulsing(10)
    assert cine_webp(replace(black, frames_THWC=np.zeros_like(black.frames_THWC))) == b""


def test_outside_the_sector_a_cine_is_as_black_as_its_still():
    scene = fan(240, 240).with_marks(margins).with_marks(trace())
    small = small_clip(EchoClip(scene.frames_THWC, 30.0, "test"))
    assert thumbnail_jpeg(EchoClip(scene.frames_THWC, 30.0, "test")) == still_jpeg(small)
    frames, _ = shown(cine_webp(small))
    assert len(frames) > 5
    for frame_HWC in frames:
        assert frame_HWC[:40, :30].max() < 40  # where names stood
        assert frame_HWC[60:100, 60:100].mean() > 20
