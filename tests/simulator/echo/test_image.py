"""What machine and window make of a scene: poor clips are poor, zooms are zooms, disease steers no random number."""

from dataclasses import fields, replace

import numpy as np
import pytest

from simulator.echo.composition import choose_views
from simulator.echo.cycle import BEATS_DRAWN, cardiac_cycle
from simulator.echo.image import draw_frames, paint_frames, screen_of, sector_of
from simulator.echo.machine import ColourBox, EchoMachine
from simulator.echo.quality import FLAWLESS, POOR_BELOW, Quality, Shadow, sample_quality
from simulator.echo.scene import BLOOD_DB, MUSCLE_DB, Flow, Scene
from simulator.echo.ventricle import ellipse

MACHINE = EchoMachine(
    frame_height=300,
    frame_width=400,
    frame_rate_hz=30.0,
    sector_deg=80.0,
    gain_db=0.0,
    dynamic_range_db=60.0,
    attenuation_db_per_cm=0.4,
    speckle=0.85,
    blur_beams=1.2,
    blur_depths=0.9,
    shadow_db=8.0,
    rim_loss_db=6.0,
    haze_db=-58.0,
    tint=(1.0, 1.0, 1.0),
    ecg_trace=True,
    jpeg_quality=75,
)
DEPTH_CM = 14.0
STILLS = ("CW_", "PW_")


def cycle_of(frames=6):
    noise = np.zeros(BEATS_DRAWN)
    return cardiac_cycle(np.arange(frames) / 30.0, heart_rate_bpm=60.0, rhythm="sinus", interval_noise=noise)


def ring(cycle, *, wall_cm=1.2):
    """A ring of muscle around blood in the middle of the picture, with some flow in it."""
    scene = Scene(centre_cm=(0.0, 7.0), squeeze_cm_T=0.5 * cycle.emptying_T)
    ones_T = np.ones(len(cycle.time_s_T))
    for half_cm, level_db in ((2.0 + wall_cm, MUSCLE_DB), (2.0, BLOOD_DB)):
        scene.paint(ellipse(0.0 * ones_T, 7.0 * ones_T, half_cm * ones_T, half_cm * ones_T), level_db)
    scene.flows.append(Flow(ellipse(0.0 * ones_T, 7.0 * ones_T, ones_T, ones_T), ones_T, 0.5, 0.0))
    return scene


def grey(quality=FLAWLESS, *, seed=1, machine=MACHINE, box=None, scene=None):
    cycle = cycle_of()
    rng = np.random.default_rng(seed)
    sector = sector_of(machine, DEPTH_CM)
    frames = draw_frames(scene or ring(cycle), cycle, machine, sector, rng, box, quality)
    return frames, sector, rng


def levels(frames_THWC, sector, radii_cm):
    """Grey levels between two distances from the ring's middle."""
    rows, columns = np.mgrid[: frames_THWC.shape[1], : frames_THWC.shape[2]]
    x_cm, y_cm = (columns - sector.apex_px[0]) / sector.px_per_cm, (rows - sector.apex_px[1]) / sector.px_per_cm
    distance_cm = np.hypot(x_cm, y_cm - 7.0)
    return frames_THWC[:, (distance_cm > radii_cm[0]) & (distance_cm < radii_cm[1]), 1].astype(float)


def contrast(quality, seed):
    """By how many of their own SDs wall and blood differ."""
    frames, sector, _ = grey(quality, seed=seed)
    wall, blood = levels(frames, sector, (2.3, 2.9)), levels(frames, sector, (0.0, 1.6))
    return (wall.mean() - blood.mean()) / np.hypot(wall.std(), blood.std())


def test_22_percent_of_the_clips_of_studies_are_poor_and_a_patients_clips_are_poor_together():
    rng = np.random.default_rng(0)
    poor = []
    for _ in range(1500):
        window = float(rng.standard_normal())
        clips = [view for view in choose_views(rng) if not view.startswith(STILLS)]
        poor.append(np.mean([sample_quality(window, view, rng).value < POOR_BELOW for view in clips]))
    assert np.mean(poor) == pytest.approx(0.22, abs=0.02)
    assert np.std(poor) > 2.0 * np.sqrt(0.22 * 0.78 / 16)


def test_apical_and_subcostal_clips_are_poor_more_often_than_parasternal_ones():
    def share(view):
        rng = np.random.default_rng(2)
        return np.mean(
            [sample_quality(float(rng.standard_normal()), view, rng).value < POOR_BELOW for _ in range(3000)]
        )

    assert share("PLAX") < share("A4C") < share("SUBCOSTAL")
    assert share("PLAX_COLOUR") == share("PLAX")


def test_quality_follows_the_window_and_takes_as_many_random_numbers_whatever_it_is():
    states = set()
    for view in ("PLAX", "A2C", "AV_ZOOM", "IVC"):
        values = []
        for window in (-2.0, 0.0, 2.0):
            rng = np.random.default_rng(7)
            values.append(sample_quality(window, view, rng).value)
            states.add(rng.random())
        assert 0.0 < values[0] < values[1] < values[2] < 1.0
    assert len(states) == 1


def test_a_wall_stands_out_less_on_a_poor_clip():
    rng = np.random.default_rng(3)
    drawn = [sample_quality(float(rng.standard_normal()), "A4C", rng) for _ in range(60)]
    poor = np.mean([contrast(quality, 5) for quality in drawn if quality.value < POOR_BELOW])
    good = np.mean([contrast(quality, 5) for quality in drawn if quality.value > 0.5])
    assert good > 2.0
    assert poor < 0.6 * good


@pytest.mark.parametrize(
    "worse",
    [
        Quality(gain_db=-8.0),
        Quality(haze_db=16.0),
        Quality(blur=2.2),
        Quality(shadows=(Shadow(0.0, 0.3, 25.0),)),
    ],
    ids=["gain", "haze", "blur", "shadow"],
)
def test_each_of_a_poor_windows_faults_changes_the_picture(worse):
    assert not np.array_equal(grey(worse)[0], grey()[0])
    assert {f.name for f in fields(Quality)} == {
        "value",
        "gain_db",
        "haze_db",
        "clutter_db",
        "blur",
        "shadows",
        "colour_noise",
    }


def test_a_lung_darkens_its_side_and_clutter_brightens_what_is_near():
    (clear, *_), (cut, *_) = grey(), grey(Quality(shadows=(Shadow(1.0, 0.5, 34.0),)))
    middle = MACHINE.frame_width // 2
    right, left = np.s_[:, 100:260, middle + 60 :], np.s_[:, 100:260, : middle - 20]
    assert cut[right].mean() < 0.6 * clear[right].mean()
    assert cut[left].mean() == pytest.approx(clear[left].mean(), rel=0.02)
    near = np.s_[:, 60:100, middle - 15 : middle + 15]
    cluttered = grey(Quality(clutter_db=25.0), machine=replace(MACHINE, gain_db=-12.0))[0]
    assert cluttered[near].mean() > grey(machine=replace(MACHINE, gain_db=-12.0))[0][near].mean()


def test_what_a_scene_shows_moves_no_random_number_and_no_speckle_far_from_it():
    cycle = cycle_of()
    thin, thick = grey(scene=ring(cycle)), grey(scene=ring(cycle, wall_cm=2.0))
    assert thin[2].random() == thick[2].random()
    assert np.array_equal(thin[0][:, 250:], thick[0][:, 250:])
    assert not np.array_equal(thin[0], thick[0])


def test_the_sector_is_filled_by_uneven_neighbours_and_walls_are_unevenly_bright():
    frames, sector, _ = grey(machine=replace(MACHINE, speckle=0.0, shadow_db=0.0, rim_loss_db=0.0))
    around, wall = levels(frames, sector, (3.6, 5.5)), levels(frames, sector, (2.4, 2.8))
    lit = around[around > 0]
    assert lit.std() > 15.0
    assert wall.std() > 8.0
    assert wall.mean() > lit.mean() + 20.0


def test_a_frame_looks_the_same_whichever_others_are_drawn():
    cycle = cycle_of()
    sector = sector_of(MACHINE, DEPTH_CM)
    screen = screen_of(np.arange(400, dtype=np.float32), np.arange(300, dtype=np.float32), sector)
    some = np.array([0, 2, 5])
    scene = ring(cycle)
    chosen = Scene(scene.centre_cm, scene.squeeze_cm_T[some])
    for layer in scene.layers:
        chosen.paint(layer.outline_TNX[some], layer.level_db)

    def painted(of, numbers_T):
        return paint_frames(of, numbers_T, MACHINE, sector, np.random.default_rng(1), None, FLAWLESS, screen)

    assert np.array_equal(painted(scene, np.arange(6))[some], painted(chosen, some))


def coloured(frames_THWC):
    spread = frames_THWC.max(axis=-1).astype(int) - frames_THWC.min(axis=-1)
    return spread > 60


def test_colour_stays_in_its_box_and_noise_of_slow_blood_grows_with_the_windows_faults():
    box = ColourBox((4.0, 10.0), (-15.0, 15.0))
    counts = []
    for noise in (0.0, 0.3, 1.0):
        frames, sector, _ = grey(Quality(colour_noise=noise), box=box, machine=replace(MACHINE, ecg_trace=False))
        shown = coloured(frames)
        counts.append(int(shown.sum()))
        rows, columns = np.nonzero(shown.any(axis=0))
        angle_deg = np.rad2deg(np.arctan2(columns - sector.apex_px[0], rows - sector.apex_px[1]))
        assert np.abs(angle_deg).max() < 17.0
        assert shown.any()
    assert counts == sorted(counts)
    assert counts[2] > 1.3 * counts[0]


def test_a_zoom_shows_its_depths_only_and_shows_them_larger():
    whole, zoom = sector_of(MACHINE, 14.0), sector_of(MACHINE, 10.0, 4.0)
    assert zoom.px_per_cm == pytest.approx(whole.px_per_cm * 14.0 / 6.0)
    top = zoom.apex_px[1] + 4.0 * zoom.px_per_cm
    assert top == pytest.approx(whole.apex_px[1])
    cycle = cycle_of()
    unmarked = replace(MACHINE, ecg_trace=False)
    frames = draw_frames(ring(cycle), cycle, unmarked, zoom, np.random.default_rng(0), None)
    x0, y0, x1, y1 = zoom.region_px
    assert 0 <= x0 < x1 < 400
    assert 0 <= y0 < y1 < 300
    rows, columns = np.mgrid[:300, :400]
    distance_cm = np.hypot(columns - zoom.apex_px[0], rows - zoom.apex_px[1]) / zoom.px_per_cm
    assert not frames[:, distance_cm < 3.9].any()
    assert (frames[:, (distance_cm > 4.2) & (distance_cm < 9.8)] > 0).mean() > 0.5
    outside = np.ones((300, 400), bool)
    outside[max(y0 - 2, 0) : y1 + 3, max(x0 - 2, 0) : x1 + 3] = False
    assert not frames[:, outside].any()
