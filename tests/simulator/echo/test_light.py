"""The light path gives what the encoder would get from the written clip: the same frames, without the files."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pytest

from inputs.echo.prepare import prepare_clip
from inputs.echo.read import read_echo
from inputs.specs import EchoSpec
from simulator.echo.cycle import BEATS_DRAWN, cardiac_cycle
from simulator.echo.files import write_clip
from simulator.echo.image import draw_frames, sector_of
from simulator.echo.light import light_clip, used_frames
from simulator.echo.machine import ColourBox, EchoMachine
from simulator.echo.other_views import OTHER_VIEWS
from simulator.echo.quality import FLAWLESS, sample_quality
from simulator.echo.scene import Flow, Hand
from simulator.echo.truth import ClipTruth
from simulator.echo.ventricle import ellipse
from simulator.echo.views import RenderedClip

from .test_other_views import ANATOMY, HEALTHY

MACHINE = EchoMachine(
    frame_height=300,
    frame_width=400,
    frame_rate_hz=30.0,
    sector_deg=80.0,
    gain_db=1.0,
    dynamic_range_db=60.0,
    attenuation_db_per_cm=0.4,
    speckle=0.85,
    blur_beams=1.2,
    blur_depths=0.9,
    shadow_db=12.0,
    rim_loss_db=8.0,
    haze_db=-57.0,
    tint=(1.0, 0.95, 0.85),
    ecg_trace=True,
    jpeg_quality=75,
)
SPEC = EchoSpec(size=112, mask_outside_sector=True)
BOX = ColourBox((3.5, 11.0), (-25.0, 25.0))


@dataclass
class Clip:
    """What a seed draws for a view; `scene` is drawn for frames of any numbers."""

    view: str
    seed: int = 4
    machine: EchoMachine = MACHINE
    window: float | None = None
    box: ColourBox | None = None
    frames: int = 36

    def drawn(self, numbers_T):
        rng = np.random.default_rng(self.seed)
        hand, noise = Hand.draw(rng), rng.standard_normal(BEATS_DRAWN)
        quality = FLAWLESS if self.window is None else sample_quality(self.window, self.view, rng)
        cycle = cardiac_cycle(
            numbers_T / self.machine.frame_rate_hz, heart_rate_bpm=66.0, rhythm="sinus", interval_noise=noise
        )
        spec = OTHER_VIEWS[self.view]
        scene = spec.draw(HEALTHY, ANATOMY, hand, cycle)
        ones_T = np.ones(len(numbers_T))
        blood = ellipse(0.3 * ones_T, 6.3 * ones_T, 1.2 * ones_T, 0.9 * ones_T)
        scene.flows.append(Flow(blood, cycle.aortic_T, -0.6, 0.0))
        return scene, cycle, sector_of(self.machine, spec.depth_cm, spec.near_cm), quality, rng

    def light(self, spec=SPEC):
        numbers_T = used_frames(self.frames, spec.prepared_for)
        scene, _, sector, quality, rng = self.drawn(numbers_T)
        return light_clip(scene, numbers_T, self.machine, sector, rng, self.box, quality, spec.prepared_for)

    def long(self, folder, spec=SPEC):
        """Render, write, read and prepare; back on grey levels, as the training's store keeps it."""
        scene, cycle, sector, quality, rng = self.drawn(np.arange(self.frames))
        frames_THWC = draw_frames(scene, cycle, self.machine, sector, rng, self.box, quality)
        clip = RenderedClip(
            frames_THWC=frames_THWC,
            frame_rate_hz=self.machine.frame_rate_hz,
            view=self.view,
            colour=self.box is not None,
            cm_per_px=1.0 / sector.px_per_cm,
            region_px=sector.region_px,
            jpeg_quality=self.machine.jpeg_quality,
            truth=ClipTruth(self.view),
        )
        path = write_clip(
            clip,
            folder / "clip",
            "dicom_jpeg",
            patient_id="P1",
            study_id="S1",
            view_id="V1",
            acquired_at=datetime(2020, 1, 1),  # noqa: DTZ001 - public data sets are date-shifted and naive
            uid_seed=1,
        )
        read = read_echo(path, max_frames=spec.frames_needed, every=spec.stride)
        grey_TSSC = prepare_clip(read, spec).transpose(1, 2, 3, 0) * np.array(spec.std) + np.array(spec.mean)
        return np.rint(grey_TSSC).astype(np.uint8)


def correlations(one_TSSC, other_TSSC):
    pairs = zip(one_TSSC, other_TSSC, strict=True)
    return np.array([np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1] for a, b in pairs])


@pytest.mark.parametrize(
    "clip",
    [
        *(Clip(view) for view in OTHER_VIEWS),
        Clip("A4C_RV", window=0.5),
        Clip("OFF_AXIS", machine=replace(MACHINE, frame_height=240, frame_width=320, jpeg_quality=60)),
        Clip("IVC", machine=replace(MACHINE, frame_height=360, frame_width=480, speckle=1.0)),
    ],
    ids=lambda clip: f"{clip.view}-{clip.machine.frame_height}-{clip.window}",
)
def test_a_light_clip_is_the_prepared_file_of_the_same_clip(clip, tmp_path):
    light, long = clip.light(), clip.long(tmp_path)
    assert light.shape == long.shape == (16, 112, 112, 3)
    kept = long.any(axis=(0, 3))  # of the sector by the preparation's own search for it, which may cut off a rim
    assert kept.sum() > 0.75 * light.any(axis=(0, 3)).sum()
    light, long = light[:, kept], long[:, kept]
    assert correlations(light, long).min() >= 0.98
    assert light.mean() == pytest.approx(long.mean(), abs=1.0)
    assert light.std() == pytest.approx(long.std(), rel=0.03)


def test_colour_comes_through_the_light_path_too(tmp_path):
    clip = Clip("AV_ZOOM", box=BOX)
    light, long = clip.light(), clip.long(tmp_path)
    assert correlations(light, long).min() >= 0.95
    blue = [(frames[..., 2].astype(int) - frames[..., 0] > 60).sum() for frames in (light, long)]
    assert blue[0] == pytest.approx(blue[1], rel=0.2)
    assert blue[0] > 300


def test_the_demos_small_pictures_and_the_published_large_ones_are_alike_as_well(tmp_path):
    for spec in (EchoSpec(size=64, mask_outside_sector=True), EchoSpec(size=224)):
        clip = Clip("SUPRASTERNAL")
        assert correlations(clip.light(spec), clip.long(tmp_path, spec)).min() >= 0.97


def test_another_seed_gives_another_clip():
    assert correlations(Clip("A4C_RV", seed=1).light(), Clip("A4C_RV", seed=2).light()).max() < 0.9


def test_only_the_frames_that_preparation_takes_are_drawn():
    assert used_frames(48, SPEC.prepared_for).tolist() == list(range(0, 32, 2))
    assert used_frames(20, SPEC.prepared_for).tolist() == list(range(0, 20, 2))
    assert Clip("IVC", frames=20).light().shape == (10, 112, 112, 3)


def test_a_picture_that_would_hold_the_machines_marks_is_refused():
    with pytest.raises(ValueError, match="zoom"):
        Clip("IVC").light(EchoSpec(zoom=0.02))
