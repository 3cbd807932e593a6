"""Clips as machines show them, with what is sector and what is burned in known for every pixel.

A scene is a moving sector (speckle that moves with tissue, a dark cavity, a dark far field) and marks around it.
Letters in array names: T frames, H rows, W columns, C colours (RGB).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Draw = Callable[[Frames], None]
WHITE, GREEN = (230, 230, 230), (60, 220, 90)


@dataclass(frozen=True)
class Scene:
    """frames_THWC as shown; sector_HW: what the beam reaches; marks_HW: burned in outside of it, at any moment."""

    frames_THWC: Frames
    sector_HW: Mask
    marks_HW: Mask

    def with_marks(self, draw: Draw) -> Scene:
        """What `draw` paints on the frames; over the sector it belongs to the sector."""
        frames_THWC = self.frames_THWC.copy()
        draw(frames_THWC)
        painted_HW = (frames_THWC != self.frames_THWC).any(axis=(0, 3))
        return Scene(frames_THWC, self.sector_HW, self.marks_HW | (painted_HW & ~self.sector_HW))


def fan(
    rows: int = 240,
    columns: int = 320,
    n_frames: int = 16,
    *,
    apex: tuple[float, float] = (0.5, 0.03),
    half_angle: float = 0.7,
    depth: float = 0.85,
    seed: int = 4,
) -> Scene:
    """A sector of a phased array. apex: as shares of columns and rows; depth: as a share of the rows."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    dx, dy = x - apex[0] * columns, y - apex[1] * rows
    angle, radius = np.arctan2(dx, np.maximum(dy, 1e-3)), np.hypot(dx, dy) / (depth * rows)
    sector_HW = (np.abs(angle) < half_angle) & (dy > 0) & (radius > 0.04) & (radius < 1)
    texture = cv2.GaussianBlur(generator.normal(0, 1, (rows + 40, columns)).astype(np.float32), (0, 0), 1.2)
    texture = 60 * texture / texture.std()
    frames_THWC = np.zeros((n_frames, rows, columns, 3), np.uint8)
    for t, frame_HWC in enumerate(frames_THWC):
        beat = np.sin(2 * np.pi * t / 12)
        shift = 20 + 4 * beat * (1 - radius)
        tissue = cv2.remap(texture, x.astype(np.float32), (y + shift).astype(np.float32), cv2.INTER_LINEAR)
        level = 110 + tissue + generator.normal(0, 6, (rows, columns))
        level -= 160 * np.exp(-((angle / 0.25) ** 2) - ((radius - 0.45) / (0.16 + 0.02 * beat)) ** 4)
        level -= 90 * np.clip((radius - 0.75) / 0.25, 0, 1)
        frame_HWC[:] = (np.clip(level, 0, 255) * sector_HW).astype(np.uint8)[:, :, None]
    return Scene(frames_THWC, sector_HW, np.zeros_like(sector_HW))


def beside(left: Scene, right: Scene) -> Scene:
    """Two scenes in one picture, as biplane and compare modes show them."""
    return Scene(
        np.concatenate([left.frames_THWC, right.frames_THWC], axis=2),
        np.concatenate([left.sector_HW, right.sector_HW], axis=1),
        np.concatenate([left.marks_HW, right.marks_HW], axis=1),
    )


def text(lines: str, x: float, y: float, *, colour: tuple[int, int, int] = WHITE, size: float = 1) -> Draw:
    """Lines of text from there, as shares of columns and rows, in letters of three per cent of the rows."""

    def draw(frames_THWC: Frames) -> None:
        rows, columns = frames_THWC.shape[1:3]
        for frame_HWC in frames_THWC:
            for number, line in enumerate(lines.split("\n")):
                at = (round(x * columns), round((y + 0.045 * size * number) * rows))
                thick = max(1, round(size * rows / 300))
                cv2.putText(frame_HWC, line, at, cv2.FONT_HERSHEY_SIMPLEX, size * rows / 720, colour, thick)

    return draw


def margins(frames_THWC: Frames) -> None:
    """What machines write around a sector: names and dates, settings, a menu, a colour bar, a grey bar."""
    rows, columns = frames_THWC.shape[1:3]
    text("DOE, JANE 1951-02-03\nID 123-45-67\nCLINIC", 0.01, 0.04)(frames_THWC)
    text("TIS0.4 MI1.2\nX5-1", 0.8, 0.04)(frames_THWC)
    text("FR 50Hz\n15cm\n2D\n 64%\n C 50\n P Low", 0.01, 0.25)(frames_THWC)
    bar_HWC = frames_THWC[:, round(0.1 * rows) : round(0.4 * rows), -columns // 30 :]
    bar_HWC[:] = np.linspace(255, 30, bar_HWC.shape[1]).astype(np.uint8)[None, :, None, None]
    frames_THWC[:, -rows // 25 :, columns // 3 : columns // 2] = (40, 60, 120)


def clocks(frames_THWC: Frames) -> None:
    """A running clock, and a heart rate that changes."""
    for t, frame_HWC in enumerate(frames_THWC):
        text(f"10:42:{t % 60:02d}.{37 * t % 100:02d}", 0.75, 0.93)(frame_HWC[None])
        text(f"{61 + 7 * t % 40} bpm", 0.75, 0.98, colour=GREEN)(frame_HWC[None])


def numbers(lines: int = 8, x: float = 0.02, y: float = 0.5, *, every: int = 1, size: float = 1) -> Draw:
    """Lines of digits, all of them others in every `every`-th frame: what a machine measures as it goes."""

    def draw(frames_THWC: Frames) -> None:
        generator = np.random.default_rng(1)
        for t, frame_HWC in enumerate(frames_THWC):
            if t % every == 0:
                said = [f"{generator.integers(1000, 9999)} {generator.integers(100, 999)}" for _ in range(lines)]
            for number, line in enumerate(said):
                text(line, x, y + 0.045 * size * number, size=size)(frame_HWC[None])

    return draw


def blinking(frames_THWC: Frames) -> None:
    """A name that is shown in two frames of three."""
    for t, frame_HWC in enumerate(frames_THWC):
        if t % 3:
            text("DOE, JANE 1951\nID 123-45-67\nPAUSED\nCLINIC OF\nHEARTS 1", 0.01, 0.55)(frame_HWC[None])


def respiration(frames_THWC: Frames) -> None:
    """A filled curve along the bottom that moves as a whole."""
    rows, columns = frames_THWC.shape[1:3]
    y = (0.97 - 0.08 * np.abs(np.sin(np.arange(3 * columns) / columns * 16))) * rows
    for t, frame_HWC in enumerate(frames_THWC):
        shown = y[t * columns // 32 :][:columns].astype(int)
        frame_HWC[np.arange(rows)[:, None] >= shown[None, :]] = GREEN


def title_page(n_frames: int) -> Draw:
    """The first frames show a page of text in place of the sector."""

    def draw(frames_THWC: Frames) -> None:
        frames_THWC[:n_frames] = 0
        text("PATIENT: DOE, JANE\nBORN 1951-02-03\nID 123-45-67\nCLINIC OF HEARTS\nDR. MILLER", 0.2, 0.3)(
            frames_THWC[:n_frames]
        )

    return draw


def drifting(scene: Scene, *, period: float, gain: float = 1.0) -> Scene:
    """The sector of a scene with smooth tissue that moves slowly: one beat takes `period` frames, and no noise."""
    rows, columns = scene.sector_HW.shape
    texture = cv2.GaussianBlur(
        np.random.default_rng(4).normal(0, 1, (rows + 40, columns)).astype(np.float32), (0, 0), 2
    )
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    frames_THWC = np.zeros_like(scene.frames_THWC)
    for t, frame_HWC in enumerate(frames_THWC):
        shift = 20 + 4 * np.sin(2 * np.pi * t / period) * (1 - y / rows)
        tissue = cv2.remap(60 * texture / texture.std(), x, y + shift.astype(np.float32), cv2.INTER_LINEAR)
        frame_HWC[:] = (np.clip(gain * (110 + tissue), 0, 255) * scene.sector_HW)[:, :, None]
    return replace(scene, frames_THWC=frames_THWC)


def stuttering(scene: Scene, times: int) -> Scene:
    """Each frame shown so many times, in a clip as long as before."""
    return replace(scene, frames_THWC=scene.frames_THWC.repeat(times, axis=0)[: len(scene.frames_THWC)])


def darker(scene: Scene, gain: float) -> Scene:
    return replace(scene, frames_THWC=(gain * scene.frames_THWC).astype(np.uint8))


def duplex() -> tuple[Scene, tuple[int, int, int, int]]:
    """A sector above a spectrum that scrolls, and the rows and columns of the first, as a file says them."""
    above, spectrum = fan(120, 320), sweep(rows=120).frames_THWC[0]
    below_THWC = np.stack([np.roll(spectrum, -10 * t, axis=1) for t in range(16)])
    below_HW = np.ones((120, 320), bool)
    frames_THWC = np.concatenate([above.frames_THWC, below_THWC], axis=1)
    sector_HW, marks_HW = np.concatenate([above.sector_HW, ~below_HW]), np.concatenate([above.marks_HW, below_HW])
    return Scene(frames_THWC, sector_HW, marks_HW), (0, -5, 120, 400)


def trace(level: float = 0.95, *, scrolls: bool = False, height: float = 0.06) -> Draw:
    """An ECG along the bottom: drawn from the left behind a gap that erases the old one, or moving as a whole."""

    def draw(frames_THWC: Frames) -> None:
        n_frames, rows, columns = frames_THWC.shape[:3]
        x = np.arange(2 * columns)
        beat = (x % (columns // 5)) / (columns / 5)
        wave = np.exp(-(((beat - 0.3) / 0.02) ** 2)) + 0.25 * np.exp(-(((beat - 0.6) / 0.06) ** 2))
        y = np.rint((level - height * wave) * rows).astype(int)
        for t, frame_HWC in enumerate(frames_THWC):
            done = round(columns * (t + 1) / n_frames)
            gap = columns // 40
            parts = (
                [(t * columns // 40, 0, columns)] if scrolls else [(columns // 2, 0, done), (0, done + gap, columns)]
            )
            for shift, first, last in parts:
                line = np.stack([np.arange(first, last), y[first + shift : last + shift]], axis=-1)
                cv2.polylines(frame_HWC, [line.astype(np.int32)], False, GREEN, max(1, rows // 250))

    return draw


def ticker(frames_THWC: Frames) -> None:
    """A line of text that runs through the picture above the bottom."""
    for t, frame_HWC in enumerate(frames_THWC):
        text("STRESS STAGE 2  PEAK  DOE, JANE " * 3, -0.06 * t, 0.985)(frame_HWC[None])


def colour_flow(scene: Scene, share: float = 0.7) -> Scene:
    """The scene with colours that flicker over much of its sector, and the frame of their box."""
    frames_THWC, generator = scene.frames_THWC.copy(), np.random.default_rng(7)
    ys, xs = np.nonzero(scene.sector_HW)
    top, left = (int(np.quantile(v, (1 - share) / 2)) for v in (ys, xs))
    bottom, right = (int(np.quantile(v, (1 + share) / 2)) for v in (ys, xs))
    box_HW = np.zeros_like(scene.sector_HW)
    box_HW[top:bottom, left:right] = True
    box_HW &= scene.sector_HW
    for frame_HWC in frames_THWC:
        patches = generator.integers(0, 3, (scene.sector_HW.shape[0] // 8 + 1, scene.sector_HW.shape[1] // 8 + 1))
        patches_HW = np.kron(patches, np.ones((8, 8), int))[: box_HW.shape[0], : box_HW.shape[1]]
        frame_HWC[box_HW & (patches_HW == 1)] = (220, 60, 10)
        frame_HWC[box_HW & (patches_HW == 2)] = (20, 60, 230)
    return replace(scene, frames_THWC=frames_THWC)


def sweep(n_frames: int = 16, rows: int = 240, columns: int = 320, *, spectral: bool = False) -> Scene:
    """An M-mode or a spectral Doppler that fills the picture: a cursor runs through it, columns change as it passes."""
    generator = np.random.default_rng(3)
    top = rows // 3 if spectral else rows // 12
    level = generator.integers(10, 200, (rows, 2 * columns))
    if spectral:
        depth = np.arange(rows)[:, None] / rows
        level = level * (depth < 0.4 + 0.3 * np.abs(np.sin(np.arange(2 * columns) / 20)))
    frames_THWC = np.zeros((n_frames, rows, columns, 3), np.uint8)
    for t, frame_HWC in enumerate(frames_THWC):
        done = round(columns * (0.1 + 0.8 * t / n_frames))
        new_HW = np.concatenate([level[:, columns : columns + done], level[:, done:columns]], axis=1)
        frame_HWC[top : rows - rows // 12] = new_HW[top : rows - rows // 12, :, None]
        frame_HWC[top : rows - rows // 12, done : done + 3] = 0
    nothing = np.zeros((rows, columns), bool)
    return Scene(frames_THWC, nothing, nothing)


def still(scene: Scene) -> Scene:
    return replace(scene, frames_THWC=np.repeat(scene.frames_THWC[:1], len(scene.frames_THWC), axis=0))


def as_jpegs(scene: Scene, quality: int = 70) -> Scene:
    """The scene as JPEG frames give it back."""
    frames = [
        simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(frame, quality=quality, colorspace="RGB"))
        for frame in scene.frames_THWC
    ]
    return replace(scene, frames_THWC=np.stack(frames))


def as_video(scene: Scene, codec: str = "mpeg4", bit_rate: int = 1_500_000) -> Scene:
    """The scene as a video of few bits gives it back: its noise changes from frame to frame."""
    stream_of = io.BytesIO()
    with av.open(stream_of, "w", format="mp4") as out:
        stream = out.add_stream(codec, rate=Fraction(30))
        stream.height, stream.width = scene.frames_THWC.shape[1:3]
        stream.pix_fmt, stream.bit_rate = "yuv420p", bit_rate
        for frame in scene.frames_THWC:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    stream_of.seek(0)
    with av.open(stream_of) as opened:
        frames = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    return replace(scene, frames_THWC=np.stack(frames))
