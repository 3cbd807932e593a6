"""What the simulated clips show: volumes, findings in their views only, colour jets, nuisance free of disease."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import ndimage

from inputs.echo.prepare import prepare_clip
from inputs.records import EchoClip
from inputs.specs import EchoSpec
from simulator.echo.anatomy import Anatomy
from simulator.echo.composition import HABITS
from simulator.echo.spectral import STILLS
from simulator.echo.views import (
    VIEWS,
    EchoMachine,
    choose_machine,
    light_view,
    render_view,
    set_up_view,
)
from simulator.physiology import Physiology
from simulator.segments import NORMAL_MOTION, SEGMENTS

HEALTHY = Physiology(
    age_years=52.0,
    sex="male",
    height_cm=176.0,
    weight_kg=80.0,
    rhythm="sinus",
    conduction="normal",
    heart_rate_bpm=66.0,
    cause="none",
    segment_motion=NORMAL_MOTION,
    lvef_percent=60.0,
    lvedv_ml=120.0,
    lvesv_ml=48.0,
    septum_cm=0.9,
    posterior_wall_cm=0.9,
    lv_mass_g=150.0,
    la_volume_index=27.0,
    rv_basal_cm=3.4,
    tapse_cm=2.2,
    rv_dysfunction=0,
    pasp_mmhg=26.0,
    tr_velocity_m_s=2.3,
    aortic_stenosis=0,
    aortic_regurgitation=0,
    mitral_regurgitation=0,
    tricuspid_regurgitation=0,
    pulmonary_regurgitation=0,
    effusion=0,
    infarct="none",
    site=1,
)
CLEAR = EchoMachine(
    frame_height=480,
    frame_width=640,
    frame_rate_hz=40.0,
    sector_deg=88.0,
    gain_db=0.0,
    dynamic_range_db=60.0,
    attenuation_db_per_cm=0.0,
    speckle=0.0,
    blur_beams=0.3,
    blur_depths=0.3,
    shadow_db=0.0,
    rim_loss_db=0.0,
    haze_db=-90.0,
    tint=(1.0, 1.0, 1.0),
    ecg_trace=False,
    jpeg_quality=90,
)
ROUND = Anatomy(oval=0.0, oval_deg=0.0, roundness=0.0, window=2.0)
"""A chest through which everything is seen, around a heart of the most usual shape."""
SMALL = replace(CLEAR, frame_height=180, frame_width=240, speckle=0.8, haze_db=-58.0)

# The table of what each view may show, written down a second time on purpose.
LEFT_VENTRICLE = {"lvedv_ml", "lvesv_ml", "segment_motion", "conduction", "septum_cm", "posterior_wall_cm"}
LEFT_ATRIUM = {"la_volume_index", "height_cm", "weight_kg"}
RIGHT_VENTRICLE = {"rv_basal_cm", "tapse_cm", "rv_dysfunction"}
ALWAYS = {"heart_rate_bpm", "rhythm"}
MAY_SHOW = {
    "PLAX": LEFT_VENTRICLE | LEFT_ATRIUM | {"aortic_stenosis", "effusion"},
    "PSAX": LEFT_VENTRICLE | {"pasp_mmhg", "effusion"},
    "PSAX_APEX": LEFT_VENTRICLE | {"pasp_mmhg", "effusion"},
    "A4C": LEFT_VENTRICLE | LEFT_ATRIUM | RIGHT_VENTRICLE | {"effusion"},
    "A2C": LEFT_VENTRICLE | LEFT_ATRIUM,
    "A3C": LEFT_VENTRICLE | LEFT_ATRIUM | {"aortic_stenosis"},
    "SUBCOSTAL": LEFT_VENTRICLE | RIGHT_VENTRICLE | {"effusion"},
    "PSAX_COLOUR": {"tricuspid_regurgitation", "tr_velocity_m_s", "pulmonary_regurgitation"},
}
MAY_SHOW |= {
    "PSAX_BASE": set(),
    "AV_ZOOM": {"aortic_stenosis"},
    "MV_ZOOM": set(),
    "OFF_AXIS": set(),
    "A4C_RV": RIGHT_VENTRICLE,
    "IVC": {"rv_dysfunction", "tricuspid_regurgitation"},
    "SUPRASTERNAL": set(),
}
MAY_SHOW["PLAX_COLOUR"] = MAY_SHOW["PLAX"] | {"aortic_regurgitation", "mitral_regurgitation"}
MAY_SHOW["A4C_COLOUR"] = MAY_SHOW["A4C"] | {"mitral_regurgitation", "tricuspid_regurgitation", "tr_velocity_m_s"}
MAY_SHOW["A2C_COLOUR"] = MAY_SHOW["A2C"] | {"mitral_regurgitation"}
MAY_SHOW["A3C_COLOUR"] = MAY_SHOW["A3C"] | {"aortic_regurgitation"}
DISEASED = {
    "age_years": 83.0,
    "sex": "female",
    "height_cm": 160.0,
    "weight_kg": 105.0,
    "rhythm": "atrial_fibrillation",
    "conduction": "left_bundle_block",
    "cause": "ischaemic",
    "infarct": "LAD",
    "segment_motion": (1.0, 0.2, *NORMAL_MOTION[2:]),
    "heart_rate_bpm": 92.0,
    "lvef_percent": 30.0,
    "lvedv_ml": 210.0,
    "lvesv_ml": 88.0,
    "septum_cm": 1.6,
    "posterior_wall_cm": 1.5,
    "lv_mass_g": 320.0,
    "la_volume_index": 60.0,
    "rv_basal_cm": 5.0,
    "tapse_cm": 1.1,
    "rv_dysfunction": 3,
    "pasp_mmhg": 75.0,
    "tr_velocity_m_s": 4.0,
    "aortic_stenosis": 3,
    "aortic_regurgitation": 3,
    "mitral_regurgitation": 3,
    "tricuspid_regurgitation": 3,
    "pulmonary_regurgitation": 3,
    "effusion": 3,
    "site": 2,
}


def frames_of(physiology, view, machine=SMALL, seed=11, anatomy=ROUND):
    return render_view(physiology, anatomy, view, machine, np.random.default_rng(seed)).frames_THWC


def ill(**changes):
    return replace(HEALTHY, **changes)


@pytest.mark.parametrize("view", VIEWS)
def test_a_finding_changes_the_clips_of_its_views_and_no_pixel_of_the_others(view):
    assert set(DISEASED) == {f.name for f in fields(Physiology)}
    may_show = MAY_SHOW[view] | ALWAYS
    # Only a leaking valve has a velocity to show.
    healthy = ill(tricuspid_regurgitation=2 if "tr_velocity_m_s" in may_show else 0)
    before = frames_of(healthy, view)
    hidden = {name: value for name, value in DISEASED.items() if name not in may_show}
    assert np.array_equal(before, frames_of(replace(healthy, **hidden), view))
    for name in sorted(may_show):
        after = frames_of(replace(healthy, **{name: DISEASED[name]}), view)
        assert not np.array_equal(before, after), f"{name} leaves no trace in {view}"


def ring_areas_cm2(clip):
    """Cavity area per frame of a clear short axis: the ring's dark inside with its papillary muscles filled in."""
    areas = []
    for frame in clip.frames_THWC:
        labels, count = ndimage.label(frame.mean(axis=2) < 40)
        # The cavity is the dark region closed in on all sides that lies furthest right: the RV crescent is left of it.
        inside = [k for k in range(1, count + 1) if (labels == k).sum() > 300 and not touches_border(labels == k)]
        cavity = max(inside, key=lambda k: ndimage.center_of_mass(labels == k)[1])
        mask = ndimage.binary_closing(np.pad(labels == cavity, 40), iterations=18)
        areas.append(mask.sum() * clip.cm_per_px**2)
    return np.array(areas)


def touches_border(mask):
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


@pytest.mark.parametrize(("edv_ml", "esv_ml"), [(80.0, 28.0), (120.0, 48.0), (180.0, 126.0)])
def test_the_short_axis_shrinks_by_as_much_as_its_truth_says(edv_ml, esv_ml):
    patient = ill(lvedv_ml=edv_ml, lvesv_ml=esv_ml)
    clip = render_view(patient, ROUND, "PSAX", CLEAR, np.random.default_rng(2))
    areas = ring_areas_cm2(clip)
    change = 1.0 - areas.min() / areas.max()
    assert 100.0 * (change + (1.0 - change) * 0.3 * change) == pytest.approx(clip.truth.plane_ef_percent, abs=7.0)
    assert clip.truth.plane_ef_percent == pytest.approx(100.0 * (1.0 - esv_ml / edv_ml), abs=7.0)


def two_chamber_volume_ml(clip, frame):
    """Method of discs along the principal axis of the dark region at mid-ventricle, which a closed valve bounds."""
    picture = clip.frames_THWC[frame].mean(axis=2)
    row = round(0.06 * CLEAR.frame_height + 5.5 / clip.cm_per_px)
    labels, _ = ndimage.label(picture < 40)
    middle = labels[row, CLEAR.frame_width // 2 - 60 : CLEAR.frame_width // 2 + 60]
    mask = labels == np.bincount(middle[middle > 0]).argmax()
    points_cm = np.argwhere(mask) * clip.cm_per_px
    points_cm = points_cm - points_cm.mean(axis=0)
    along = points_cm @ np.linalg.eigh(np.cov(points_cm.T))[1][:, -1]
    disc_cm = 0.25
    discs = np.histogram(along, bins=np.arange(along.min(), along.max() + disc_cm, disc_cm))[0]
    widths_cm = discs * clip.cm_per_px**2 / disc_cm
    return np.pi / 4.0 * np.sum(widths_cm**2) * disc_cm


INFERIOR_SCAR = tuple(0.1 if "inferior" in segment.name else 1.0 for segment in SEGMENTS)


@pytest.mark.parametrize("motion", [NORMAL_MOTION, INFERIOR_SCAR])
@pytest.mark.parametrize(("edv_ml", "esv_ml"), [(85.0, 34.0), (120.0, 60.0), (190.0, 140.0)])
def test_discs_measured_on_the_picture_give_what_the_clip_s_truth_says(edv_ml, esv_ml, motion):
    patient = ill(lvedv_ml=edv_ml, lvesv_ml=esv_ml, segment_motion=motion)
    clip = render_view(patient, ROUND, "A2C", CLEAR, np.random.default_rng(10))
    # Both valves are shut at the R wave and again when ejection ends.
    end_systole = round(0.36 * np.sqrt(60.0 / patient.heart_rate_bpm) * clip.frame_rate_hz)
    edv, esv = two_chamber_volume_ml(clip, 1), two_chamber_volume_ml(clip, end_systole)
    assert edv == pytest.approx(clip.truth.plane_edv_ml, rel=0.12)
    assert 100.0 * (1.0 - esv / edv) == pytest.approx(clip.truth.plane_ef_percent, abs=6.0)


def test_the_operator_fits_the_depth_to_the_heart():
    """A heart of three times the volume is 1.4 times as long, but not in pixels."""
    sizes = []
    for edv_ml in (80.0, 240.0):
        big = ill(lvedv_ml=edv_ml, lvesv_ml=0.45 * edv_ml, la_volume_index=0.25 * edv_ml)
        clips = [render_view(big, ROUND, "A4C", SMALL, np.random.default_rng(seed)) for seed in range(6)]
        sizes.append(np.mean([clip.cm_per_px for clip in clips]))
    assert sizes[1] > 1.25 * sizes[0]


@pytest.mark.parametrize("view", VIEWS)
def test_a_scene_of_some_frames_is_that_of_all_at_those(view):
    def layers(used_frames):
        clip = set_up_view(ill(rhythm="atrial_fibrillation"), ROUND, view, SMALL, np.random.default_rng(6), used_frames)
        return clip.sector, [layer.outline_TNX for layer in clip.scene.layers]

    sector, every = layers(np.arange)
    same_sector, some = layers(lambda frames: np.arange(0, frames, 5))
    assert same_sector == sector
    for all_frames, few in zip(every, some, strict=True):
        assert np.allclose(all_frames[::5], few)


def test_depth_is_set_in_whole_centimetres():
    for seed in range(8):
        clip = render_view(HEALTHY, ROUND, "A2C", CLEAR, np.random.default_rng(seed))
        depth_cm = clip.cm_per_px * 0.84 * CLEAR.frame_height
        assert depth_cm == pytest.approx(round(depth_cm), abs=1e-6)


def coloured(frames_THWC):
    """Pixels per frame with a hue, as opposed to grey."""
    spread = frames_THWC.max(axis=-1).astype(int) - frames_THWC.min(axis=-1)
    return (spread > 60).sum(axis=(1, 2))


@pytest.mark.parametrize(
    ("lesion", "view"),
    [
        ("mitral_regurgitation", "A4C_COLOUR"),
        ("mitral_regurgitation", "A2C_COLOUR"),
        ("mitral_regurgitation", "PLAX_COLOUR"),
        ("tricuspid_regurgitation", "A4C_COLOUR"),
        ("tricuspid_regurgitation", "PSAX_COLOUR"),
        ("pulmonary_regurgitation", "PSAX_COLOUR"),
        ("aortic_regurgitation", "PLAX_COLOUR"),
        ("aortic_regurgitation", "A3C_COLOUR"),
    ],
)
def test_a_jet_grows_with_its_grade_and_is_absent_without_regurgitation(lesion, view):
    sizes = []
    for grade in range(4):
        per_seed = []
        for seed in range(3):
            normal, leaking = frames_of(HEALTHY, view, seed=seed), frames_of(ill(**{lesion: grade}), view, seed=seed)
            per_seed.append(int((normal != leaking).any(axis=-1).sum()))
        sizes.append(sum(per_seed))
    assert sizes[0] == 0
    assert 0 < sizes[1] < sizes[2] < sizes[3]


def test_grey_views_hold_no_colour_and_a_healthy_colour_view_shows_inflow_only():
    grey = frames_of(ill(mitral_regurgitation=3, aortic_stenosis=3), "A4C")
    assert coloured(grey).sum() == 0
    flow = coloured(frames_of(HEALTHY, "A4C_COLOUR"))
    systole = slice(4, 12)
    assert flow[systole].max() == 0
    assert flow.max() > 50
    leak = coloured(frames_of(ill(mitral_regurgitation=3), "A4C_COLOUR"))
    assert leak[systole].min() > 50


def test_a_stenotic_aortic_valve_turns_its_outflow_into_a_mosaic():
    """Laminar outflow is blue alone; the turbulent jet holds both directions of the scale."""
    red_share = []
    for grade in (0, 2, 3):
        frames = frames_of(ill(aortic_stenosis=grade), "A3C_COLOUR")[5:9].astype(int)
        red, blue = frames[..., 0] - frames[..., 2] > 60, frames[..., 2] - frames[..., 0] > 60
        red_share.append(red.sum() / (red.sum() + blue.sum()))
    assert red_share[0] < 0.02
    assert red_share[1] > 0.1
    assert red_share[2] > 0.1


def test_effusion_leaves_a_dark_rim_that_widens_with_its_grade():
    dark = []
    for grade in range(4):
        frame = frames_of(ill(effusion=grade), "PSAX", CLEAR)[0].mean(axis=2)
        dark.append(int((frame < 20).sum()))
    assert dark[0] < dark[1] < dark[2] < dark[3]


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others():
    assert np.array_equal(frames_of(HEALTHY, "PLAX", seed=4), frames_of(HEALTHY, "PLAX", seed=4))
    assert not np.array_equal(frames_of(HEALTHY, "PLAX", seed=4), frames_of(HEALTHY, "PLAX", seed=5))


def test_an_unknown_view_or_site_is_refused():
    with pytest.raises(ValueError, match="unknown view"):
        frames_of(HEALTHY, "A5C")
    with pytest.raises(ValueError, match="site"):
        choose_machine(3, np.random.default_rng(0))


def test_machines_differ_between_sites_and_clips_have_the_machines_size_and_rate():
    tints = []
    for site in range(3):
        rng = np.random.default_rng(site)
        machines = [choose_machine(site, rng) for _ in range(300)]
        tints.append(np.mean([m.tint[2] for m in machines]))
        for machine in machines[:2]:
            clip = render_view(HEALTHY, ROUND, "A4C", machine, rng)
            frames, height, width, colours = clip.frames_THWC.shape
            assert (height, width, colours) == (machine.frame_height, machine.frame_width, 3)
            assert 32 <= frames <= 48
            assert clip.frame_rate_hz == machine.frame_rate_hz
            x0, y0, x1, y1 = clip.region_px
            assert 0 <= x0 < x1 < width
            assert 0 <= y0 < y1 < height
    assert max(tints) - min(tints) > 0.03


def test_every_view_of_a_study_can_be_drawn_or_is_a_still():
    assert set(HABITS) == set(VIEWS) | set(STILLS)


SPEC = EchoSpec(size=96, mask_outside_sector=True)


@pytest.mark.parametrize("view", VIEWS)
def test_the_light_path_gives_the_clip_and_the_truth_of_the_long_one(view):
    machine = replace(SMALL, frame_height=300, frame_width=400)
    clip = render_view(ill(mitral_regurgitation=2), ROUND, view, machine, np.random.default_rng(8))
    light_THWC, truth = light_view(
        ill(mitral_regurgitation=2), ROUND, view, machine, np.random.default_rng(8), SPEC.prepared_for
    )
    assert truth == clip.truth
    y0, x0, y1, x1 = (clip.region_px[k] for k in (1, 0, 3, 2))
    read = EchoClip(clip.frames_THWC, clip.frame_rate_hz, "dicom", regions=((y0, x0, y1 + 1, x1 + 1),))
    long_THWC = prepare_clip(read, SPEC).transpose(1, 2, 3, 0) * np.array(SPEC.std) + np.array(SPEC.mean)
    for light_HWC, long_HWC in zip(light_THWC, long_THWC, strict=True):
        assert np.corrcoef(light_HWC.ravel().astype(float), long_HWC.ravel())[0, 1] > 0.9
