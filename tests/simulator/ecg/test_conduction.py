"""Blocks, pacing, flutter, early beats: each as its textbook has it, and the rhythm that the physiology says."""

from dataclasses import replace

import numpy as np
import pytest
from beats import ONE, RATE_HZ, TWO, V1, V2, V6, axis_deg, beats_of, extreme, one_beat, steady
from healthy import HEALTHY

from simulator.ecg.heart import shape_beat
from simulator.ecg.rhythm import flutter_of
from simulator.ecg.signal import heart_leads, moments_of

PEOPLE = 30
FLUTTERING = replace(HEALTHY, rhythm="atrial_flutter")


def blocked(kind):
    return replace(HEALTHY, conduction=kind)


def beats(kind):
    return [one_beat(blocked(kind), number) for number in range(PEOPLE)]


def t_heights(kind, lead):
    return [extreme(beat_KW[lead, t_wave]) for beat_KW, _, t_wave in beats(kind)]


def leads_of(physiology, number, duration_s=10.0, **kwargs):
    rng = np.random.default_rng([31, number])
    return heart_leads(physiology, electrics=steady(number, **kwargs), rate_hz=RATE_HZ, duration_s=duration_s, rng=rng)


def test_conduction_is_the_physiology_s_and_decides_how_long_a_qrs_lasts():
    def width(kind):
        return np.median([shape_beat(blocked(kind), steady(n), np.random.default_rng(n)).qrs_ms for n in range(PEOPLE)])

    assert 80 < width("normal") < 98
    assert 125 < width("right_bundle_block") < 150
    assert 130 < width("left_bundle_block") < 165
    assert 150 < width("paced") < 185
    assert 3 < width("left_anterior_block") - width("normal") < 20
    assert shape_beat(blocked("paced"), steady(0), np.random.default_rng(0)).conduction == "paced"


def test_left_bundle_block_runs_to_the_left_and_back_with_t_against_it():
    for beat_KW, qrs, _ in beats("left_bundle_block"):
        assert -beat_KW[V1, qrs].min() > 2 * beat_KW[V1, qrs].max()
        assert beat_KW[V6, qrs].max() > 3 * -beat_KW[V6, qrs][:50].min()  # no q
    for lead, direction in ((V1, +1), (V6, -1)):
        turned = np.median(t_heights("left_bundle_block", lead)) - np.median(t_heights("normal", lead))
        assert direction * turned > 0.1


def steepest(beat_KW, wave):
    return np.linalg.norm(np.diff(beat_KW[:, wave], axis=1), axis=0).max()


def half_width(beat_KW, wave):
    """Milliseconds for which all leads together are at half their height or more."""
    size_W = np.linalg.norm(beat_KW[:, wave], axis=0)
    return np.count_nonzero(size_W > 0.5 * size_W.max())


def test_left_bundle_block_has_the_voltages_of_its_textbook():
    def median(lead, sign):
        return np.median([(sign * beat_KW[lead, qrs]).max() for beat_KW, qrs, _ in beats("left_bundle_block")])

    assert 0.5 < median(ONE, +1) < 1.5
    assert 0.5 < median(V6, +1) < 1.5
    assert 1.0 < median(V2, -1) < 3.0


@pytest.mark.parametrize("kind", ["left_bundle_block", "paced"])
def test_a_broad_qrs_is_steeper_than_its_t_wave_which_is_broader_than_in_health(kind):
    steeper = [steepest(beat_KW, qrs) / steepest(beat_KW, t_wave) for beat_KW, qrs, t_wave in beats(kind)]
    assert min(steeper) > 1.5
    assert np.median(steeper) > 3.0
    broad, usual = (np.median([half_width(beat_KW, t) for beat_KW, _, t in beats(of)]) for of in (kind, "normal"))
    assert broad > 1.15 * usual


def test_right_bundle_block_ends_in_one_slurred_wave():
    """R' of V1 without notches: the right ventricle is excited through muscle."""
    for beat_KW, qrs, _ in beats("right_bundle_block"):
        late_W = beat_KW[V1, qrs][-55:]
        assert np.count_nonzero(np.diff(np.sign(np.diff(late_W[np.abs(late_W) > 0.05]))) != 0) <= 3


def test_right_bundle_block_ends_to_the_right_and_front():
    late_r = [beat_KW[V1, qrs][-50:].max() for beat_KW, qrs, _ in beats("right_bundle_block")]
    late_s = [-beat_KW[ONE, qrs][-50:].min() for beat_KW, qrs, _ in beats("right_bundle_block")]
    assert np.mean(np.array(late_r) > 0.15) > 0.8
    assert np.mean(np.array(late_s) > 0.08) > 0.8
    assert np.median(t_heights("right_bundle_block", V1)) < np.median(t_heights("normal", V1)) - 0.05


def test_left_anterior_block_turns_the_axis_up_with_q_in_avl_and_r_before_s_below():
    axes = np.array([axis_deg(beat_KW, qrs) for beat_KW, qrs, _ in beats("left_anterior_block")])
    assert np.mean((axes < -35) & (axes > -90)) > 0.8
    q_r, r_s = 0, 0
    for beat_KW, qrs, _ in beats("left_anterior_block"):
        one, two = beat_KW[ONE, qrs], beat_KW[TWO, qrs]
        avl, foot = one - two / 2, two - one / 2
        q_r += avl[:40].min() < -0.02 and avl.max() > 0.3
        r_s += np.argmax(foot) < np.argmin(foot) and -foot.min() > foot.max()
    assert q_r > 0.6 * PEOPLE
    assert r_s > 0.7 * PEOPLE


def test_a_pacemaker_gives_a_spike_of_under_two_ms_before_a_qrs_from_the_right_apex():
    electrics = steady(1, spike_mv=2.0, spike_direction=(0.0, 1.0, 0.0))
    beat = shape_beat(blocked("paced"), electrics, np.random.default_rng(1))
    spikes = [bump for bump in beat.bumps if bump.before_ms < 1.0]
    assert len(spikes) == 1
    assert 1.1775 * (spikes[0].before_ms + spikes[0].after_ms) < 2.0  # width at half its height
    assert spikes[0].centre_ms < 0
    assert all(bump.before_ms > 1.0 for bump in shape_beat(HEALTHY, electrics, np.random.default_rng(1)).bumps)
    axes = np.array([axis_deg(beat_KW, qrs) for beat_KW, qrs, _ in beats("paced")])
    assert np.mean((axes < -30) | (axes > 180)) > 0.9  # superior
    assert np.median([-extreme(beat_KW[V1, qrs]) for beat_KW, qrs, _ in beats("paced")]) > 0.3


def test_pacing_follows_the_atria_and_goes_by_itself_where_they_fibrillate():
    sensed = np.median([np.ptp(beat_KW[TWO, :230]) for beat_KW, _, _ in beats("paced")])
    assert sensed > 0.06
    fibrillating = replace(blocked("paced"), rhythm="atrial_fibrillation", heart_rate_bpm=70.0)
    rr_s = beats_of(leads_of(fibrillating, 2, fibrillation_voltage=0.0, spike_mv=0.0))[1]
    assert rr_s.std() < 0.01
    assert rr_s.mean() == pytest.approx(60 / 70, rel=0.01)


@pytest.mark.parametrize("rate", [42.0, 60.0, 75.0, 88.0, 100.0, 120.0, 135.0, 150.0])
def test_flutter_is_conducted_as_near_to_the_heart_rate_as_its_own_rate_allows(rate):
    physiology = replace(FLUTTERING, heart_rate_bpm=rate)
    flutter = flutter_of(physiology, steady(1))
    assert 240 <= flutter.waves_per_min <= 320
    assert flutter.ratio in (2, 3, 4)
    off = abs(flutter.waves_per_min / flutter.ratio - rate)
    assert off <= (18.5 if rate < 60 else 0.5 if rate <= 106.7 or rate >= 120 else 7)
    rr_s = beats_of(leads_of(physiology, 1, flutter_varies=False))[1]
    assert 60 / rr_s.mean() == pytest.approx(flutter.waves_per_min / flutter.ratio, rel=0.02)


def test_saw_teeth_are_largest_below_and_as_quick_as_the_flutter():
    physiology = replace(FLUTTERING, heart_rate_bpm=70.0)
    electrics = steady(1, voltage=0.0, t_voltage=0.0, j_voltage=0.0, early_repolarisation=1.0, flutter_voltage=0.25)
    electrics = replace(electrics, first_forces=(0.0, 0.0, 0.0))
    teeth = heart_leads(physiology, electrics=electrics, rate_hz=RATE_HZ, duration_s=10.0, rng=np.random.default_rng(1))
    foot, left_arm = teeth[TWO] - teeth[ONE] / 2, teeth[ONE] - teeth[TWO] / 2
    assert np.ptp(foot) > 0.2
    assert np.ptp(foot) > 1.5 * np.ptp(teeth[ONE])
    assert np.ptp(foot) > 1.3 * np.ptp(left_arm)
    hz = np.fft.rfftfreq(teeth.shape[1], 1 / RATE_HZ)
    spectrum = np.abs(np.fft.rfft(foot - foot.mean()))
    assert 60 * hz[spectrum.argmax()] == pytest.approx(flutter_of(physiology, electrics).waves_per_min, rel=0.05)
    falling = np.mean(np.diff(foot) < 0)
    assert falling > 0.55  # slowly down, quickly up


def early_beats(physiology, number, **kwargs):
    electrics = replace(steady(number), **kwargs)
    rng = np.random.default_rng([33, number])
    beat = shape_beat(physiology, electrics, rng)
    return moments_of(physiology, electrics, beat, 60.0, rng)


def test_early_atrial_beats_reset_the_sinus_node_and_early_ventricular_ones_do_not():
    moments = early_beats(HEALTHY, 1, atrial_ectopy=4.0)
    early = [n for n, moment in enumerate(moments[:-1]) if moment.origin == "atrial" and n > 0]
    assert early
    for n in early:
        before = moments[n].onset_s - moments[n - 1].onset_s
        after = moments[n + 1].onset_s - moments[n].onset_s
        assert before < 0.85 * 60 / HEALTHY.heart_rate_bpm
        assert before + after < 1.95 * 60 / HEALTHY.heart_rate_bpm
    moments = early_beats(HEALTHY, 2, ectopy=12.0)
    early = [n for n, moment in enumerate(moments[:-1]) if moment.origin == "ventricular" and n > 0]
    assert early
    for n in early:
        whole = moments[n + 1].onset_s - moments[n - 1].onset_s
        assert whole == pytest.approx(2 * 60 / HEALTHY.heart_rate_bpm, rel=0.15)


def test_an_early_atrial_beat_has_the_usual_qrs_after_another_p_and_none_comes_in_fibrillation():
    beat = shape_beat(HEALTHY, steady(4), np.random.default_rng(4))
    ventricles = [bump for bump in beat.bumps if bump.centre_ms > 0]
    assert set(ventricles) <= set(beat.early_atrial)
    p_wave = {bump for bump in beat.bumps if bump.centre_ms < 0}
    assert p_wave
    assert not p_wave & set(beat.early_atrial)
    fibrillating = replace(HEALTHY, rhythm="atrial_fibrillation")
    assert all(moment.origin != "atrial" for moment in early_beats(fibrillating, 1, atrial_ectopy=9.0))


def test_an_early_ventricular_beat_is_broad_with_t_against_it():
    beat = shape_beat(HEALTHY, steady(5), np.random.default_rng(5))
    qrs, t_wave = beat.early_ventricular[:-1], beat.early_ventricular[-1]
    assert qrs[-1].centre_ms + 2 * qrs[-1].after_ms > 130
    area = np.sum([np.multiply(bump.area_ms, bump.dipole_mv) for bump in qrs], axis=0)
    assert np.dot(area, t_wave.dipole_mv) < 0
