"""What the model sees is judged, wherever it lies; leads without a heartbeat are lost, however much they move."""

import numpy as np
import pytest
from dipole import heart_mv
from scipy.signal import butter, sosfiltfilt

from inputs.ecg.judged import judge_ecg
from inputs.records import STANDARD_LEADS, EcgRecording
from inputs.specs import EcgSpec
from simulator.ecg.placement import LEAD_FIELD_KD

SPEC = EcgSpec(windows="mean")
ROW = {lead: row for row, lead in enumerate(STANDARD_LEADS)}
EIGHT = [ROW[lead] for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
T_S = np.arange(5000) / 500
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")


def judged(signal_mv, spec=SPEC):
    return judge_ecg(EcgRecording(np.asarray(signal_mv, np.float32), 500.0, STANDARD_LEADS, "invented"), spec)


def twelve(eight):
    one, two, *chest = eight
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest])


def noise(size_mv, samples, seed=1):
    return twelve(size_mv * np.random.default_rng(seed).standard_normal((8, samples)))


def codes_of(judgement, lead):
    return {code for one in judgement.lead_quality(STANDARD_LEADS) if one.lead == lead for code in one.codes}


@pytest.mark.parametrize("seconds", [10.0, 20.0, 60.0])
def test_a_heart_that_beats_through_is_answered(seconds):
    assert judged(heart_mv(0, seconds=seconds)).withheld == ()


@pytest.mark.parametrize("size_mv", [0.003, 0.3])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_windows_without_a_heartbeat_are_withheld(size_mv, share):
    signal_mv = heart_mv(1)
    first = int(share * 5000)
    signal_mv[:, first:] = noise(size_mv, 5000 - first)
    assert judged(signal_mv).withheld


def test_what_the_model_does_not_see_is_not_withheld_for():
    signal_mv = heart_mv(1)
    signal_mv[:, 3750:] = noise(0.3, 1250)
    assert judged(signal_mv, EcgSpec(windows="first")).withheld == ()


@pytest.mark.parametrize("rest", [noise(0.3, 15000), noise(0.003, 15000)])
def test_what_the_model_sees_beyond_what_is_measured_is_judged_too(rest):
    judgement = judged(np.concatenate([heart_mv(2, seconds=20.0), rest], axis=1))
    assert judgement.withheld
    (told,) = [one for one in judgement.warnings if one.severity == "withheld"]
    assert told.message.startswith("At ")


def test_arms_exchanged_later_on_are_withheld():
    good_mv = heart_mv(3, seconds=20.0)
    one, two, *chest = heart_mv(3, seconds=30.0)[EIGHT]
    later_mv = twelve([-one, two - one, *chest])
    assert judged(np.concatenate([good_mv, later_mv], axis=1)).withheld == ("arms_exchanged",)


def test_a_heart_that_rests_for_four_seconds_is_answered():
    quiet_mv = 0.01 * np.random.default_rng(5).standard_normal((12, 2000))
    beating_mv = heart_mv(4)
    assert judged(np.concatenate([beating_mv[:, :1500], quiet_mv, beating_mv[:, 1500:3000]], axis=1)).withheld == ()


@pytest.mark.parametrize("size_mv", [0.003, 0.01, 0.06, 0.2])
@pytest.mark.parametrize("leads", [CHEST[2:], CHEST, ("I", "II")])
def test_leads_that_hold_only_noise_are_lost_at_whatever_noise(size_mv, leads):
    eight_mv = heart_mv(5)[EIGHT]
    for lead in leads:
        eight_mv[EIGHT.index(ROW[lead])] = size_mv * np.random.default_rng(ROW[lead]).standard_normal(5000)
    judgement = judged(twelve(eight_mv))
    assert judgement.withheld == ("leads_lost",)
    assert all("disconnected" in codes_of(judgement, lead) for lead in leads)


@pytest.mark.parametrize("size_mv", [0.004, 0.05, 0.3])
@pytest.mark.parametrize("leads", [CHEST[2:], CHEST])
@pytest.mark.parametrize("part", [slice(0, 1300), slice(3700, 5000), slice(2500, 5000)])
def test_leads_without_a_heartbeat_in_one_window_are_lost_though_others_beat_on(size_mv, leads, part):
    signal_mv = heart_mv(10)
    for lead in leads:
        draw = np.random.default_rng(ROW[lead])
        signal_mv[ROW[lead], part] = size_mv * draw.standard_normal(part.stop - part.start)
    assert judged(signal_mv).withheld == ("leads_lost",)


@pytest.mark.parametrize("size_mv", [0.1, 0.3, 0.6])
def test_bursts_of_muscle_are_no_heartbeat(size_mv):
    draw = np.random.default_rng(11)
    muscle = sosfiltfilt(butter(2, (15, 100), "bandpass", fs=500, output="sos"), draw.standard_normal((8, 1300)))
    bursts = muscle / muscle.std() * np.clip(np.sin(2 * np.pi * 1.2 * np.arange(1300) / 500), 0, 1) ** 2
    signal_mv = heart_mv(11)
    signal_mv[:, 3700:] = twelve(size_mv * bursts + 0.01 * draw.standard_normal((8, 1300)))
    assert judged(signal_mv).withheld == ("no_qrs",)


def test_a_run_of_extra_beats_that_fills_a_window_is_a_heartbeat():
    signal_mv = heart_mv(12)
    at_s = np.arange(1300)[:, None] / 500 - np.arange(0.1, 2.6, 0.4)
    run = sum(np.exp(-0.5 * (at_s.T - late_s) ** 2 / 0.02**2) * size for late_s, size in ((0.0, 1.5), (0.06, -1.0)))
    signal_mv[:, 3700:] = twelve(np.linspace(-1.0, 1.2, 8)[:, None] * run.sum(axis=0)) + noise(0.01, 1300)
    assert judged(signal_mv).withheld == ()


@pytest.mark.parametrize("size_mv", [0.01, 0.2])
def test_one_lead_of_noise_is_a_warning_and_hides_no_exchange(size_mv):
    one, two, *chest = heart_mv(6)[EIGHT]
    chest[5] = size_mv * np.random.default_rng(7).standard_normal(5000)
    judgement = judged(twelve([one, two, *chest]))
    assert (judgement.withheld, "disconnected" in codes_of(judgement, "V6")) == ((), True)
    assert judged(twelve([-one, two - one, *chest])).withheld == ("arms_exchanged",)


@pytest.mark.parametrize("lead", STANDARD_LEADS)
@pytest.mark.parametrize("factor", [20.0, 0.05])
def test_a_wrong_scale_is_withheld_though_a_lead_fell_off(lead, factor):
    signal_mv = factor * heart_mv(7)
    signal_mv[ROW[lead]] = 0.0
    assert "scale_implausible" in judged(signal_mv).withheld


@pytest.mark.parametrize("lead", STANDARD_LEADS)
@pytest.mark.parametrize("fault", ["flat", "noise", "saturated"])
def test_one_lead_at_fault_is_never_withheld(lead, fault):
    signal_mv = heart_mv(8)
    draw = np.random.default_rng(9)
    signal_mv[ROW[lead]] = {"flat": 0.0, "noise": 0.2 * draw.standard_normal(5000), "saturated": 5.0}[fault]
    assert judged(signal_mv).withheld == ()


def test_a_limb_lead_at_the_end_of_its_range_is_computed_and_not_called_disconnected():
    signal_mv = heart_mv(9)
    signal_mv[ROW["I"]] = np.minimum(signal_mv[ROW["I"]] + 5.0 - np.quantile(signal_mv[ROW["I"]], 0.35), 5.0)
    judgement = judged(signal_mv)
    assert (judgement.withheld, codes_of(judgement, "I")) == ((), set())
    assert [one.leads for one in judgement.warnings if one.code == "leads_derived"] == [("I",)]


def test_a_lead_of_low_voltage_is_not_lost():
    signal_mv = heart_mv(0)
    signal_mv[ROW["V6"]] *= 0.1 / np.ptp(signal_mv[ROW["V6"]])
    assert "disconnected" not in codes_of(judged(signal_mv), "V6")


@pytest.mark.parametrize(("first", "last"), [(0, 12000), (18000, 30000)])
def test_names_that_are_wrong_in_what_the_model_sees_are_withheld(first, last):
    signal_mv = heart_mv(13, seconds=60.0)
    signal_mv[:6, first:last] = signal_mv[[1, 2, 0, 4, 5, 3], first:last]
    assert judged(signal_mv).withheld == ("leads_inconsistent",)


def test_an_artefact_of_a_second_in_one_lead_breaks_no_law_for_the_model():
    signal_mv = heart_mv(14)
    signal_mv[ROW["III"], 3900:4400] += 0.5 * np.sin(2 * np.pi * 3.0 * T_S[:500])
    assert judged(signal_mv).withheld == ()


@pytest.mark.parametrize("factor", [0.1, 10.0])
@pytest.mark.parametrize("leads", [STANDARD_LEADS[:6], CHEST[:3], CHEST[3:]])
def test_leads_of_another_scale_are_named_and_no_arms_exchanged(leads, factor):
    signal_mv = heart_mv(15)
    signal_mv[[ROW[lead] for lead in leads]] *= factor
    judgement = judged(signal_mv)
    (told,) = [one for one in judgement.warnings if one.code == "scales_differ"]
    others = tuple(lead for lead in STANDARD_LEADS if lead not in leads)
    assert (told.leads == leads) or (told.leads == others)
    assert set(judgement.withheld) <= {"scales_differ", "scale_implausible"}


NARROW, WIDE = ((1.0, 0.7, 0.1), 0.012), ((-0.9, 1.2, -0.8), 0.03)


def beats_mv(*rhythms, draw=None, samples=5000):
    """Each rhythm: a shape as above, and when it beats, in seconds."""
    draw, t_s = draw or np.random.default_rng(21), np.arange(samples) / 500
    dipole_3N = np.zeros((3, samples))
    for (dipole, width_s), at_s in rhythms:
        for turn, late_s, size in ((0, 0.0, 1.0), (1, 1.6 * width_s, -0.5), (2, 0.26, 0.25)):
            off_s = t_s[:, None] - np.asarray(at_s) - late_s
            wave_N = np.exp(-0.5 * (off_s / (width_s if turn < 2 else 0.05)) ** 2).sum(axis=1)
            dipole_3N += size * np.roll(dipole, turn)[:, None] * wave_N
    return twelve(LEAD_FIELD_KD @ dipole_3N + 0.015 * draw.standard_normal((8, samples)))


@pytest.mark.parametrize("every_s", [60 / 140, 60 / 170])
@pytest.mark.parametrize("begins_s", [2.5, 5.0, 7.5])
def test_a_tachycardia_of_other_beats_that_begins_is_a_heart(begins_s, every_s):
    signal_mv = beats_mv((NARROW, np.arange(0.3, begins_s, 0.8)), (WIDE, np.arange(begins_s + 0.3, 10.5, every_s)))
    assert judged(signal_mv).withheld == ()


@pytest.mark.parametrize("shape", [WIDE, ((0.4, 0.9, 0.6), 0.02)])
def test_a_lone_beat_of_another_shape_in_a_pause_is_a_heartbeat(shape):
    beats_s = np.arange(0.3, 10.5, 0.86)
    assert judged(beats_mv((NARROW, beats_s[(beats_s < 2.5) | (beats_s > 6.0)]), (shape, [4.25]))).withheld == ()


@pytest.mark.parametrize("size_mv", [0.3, 1.0])
def test_a_lone_burst_of_muscle_in_a_pause_is_no_heartbeat(size_mv):
    draw = np.random.default_rng(22)
    muscle = sosfiltfilt(butter(2, (15, 100), "bandpass", fs=500, output="sos"), draw.standard_normal((8, 5000)))
    beats_s = np.arange(0.3, 10.5, 0.86)
    signal_mv = beats_mv((NARROW, beats_s[(beats_s < 2.5) | (beats_s > 6.0)]))
    signal_mv += twelve(size_mv * muscle / muscle.std() * np.exp(-0.5 * ((T_S - 4.25) / 0.15) ** 2))
    assert judged(signal_mv).withheld == ("no_qrs",)


@pytest.mark.parametrize("size_mv", [0.1, 2.0])
@pytest.mark.parametrize(("low_hz", "high_hz"), [(49.9, 50.1), (30, 100), (60, 150), (3, 7)])
def test_what_is_loud_outside_the_band_of_qrs_is_no_rest(low_hz, high_hz, size_mv):
    band = butter(2, (low_hz, high_hz), "bandpass", fs=500, output="sos")
    other_mv = sosfiltfilt(band, np.random.default_rng(23).standard_normal((8, 30000)))[:, 10000:11260]
    signal_mv = heart_mv(4)
    signal_mv[:, 2490:3750] = twelve(size_mv * other_mv / other_mv.std()) + noise(0.01, 1260)
    assert judged(signal_mv).withheld == ("no_qrs",)


def test_atria_that_beat_on_through_a_rest_are_answered():
    atria = ((0.06, 0.12, -0.03), 0.03)
    beats_s = np.arange(0.3, 10.5, 0.86)
    signal_mv = beats_mv((NARROW, beats_s[(beats_s < 2.5) | (beats_s > 6.0)])) + heart_of(atria, beats_s - 0.16)
    assert judged(signal_mv).withheld == ()


def heart_of(shape, at_s):
    return beats_mv((shape, at_s)) - beats_mv()


def test_p_waves_alone_are_first_of_all_no_qrs():
    waves_s = np.arange(0.3, 10.5, 0.75)
    assert judged(beats_mv((((0.06, 0.12, -0.03), 0.025), waves_s)) * 0.9).withheld[0] == "no_qrs"


def test_a_line_without_any_wave_is_first_of_all_noise():
    assert judged(noise(0.005, 5000)).withheld[0] == "noise_only"


def test_two_leads_at_alternate_ends_of_their_range_hide_no_heart():
    signal_mv = heart_mv(8)
    for lead, hz in (("V2", 0.7), ("V5", 1.3)):
        signal_mv[ROW[lead]] = 4.0 * np.sign(np.sin(2 * np.pi * hz * T_S + 0.1))
    judgement = judged(signal_mv)
    assert (judgement.withheld, "leads_saturated" in codes_of(judgement, "V2")) == ((), True)


def at_the_rails(signal_mv, rows, first, last):
    """Leads that lie now at one end of their range, now at the other, each in its own time."""
    for row in rows:
        draw = np.random.default_rng(row)
        ends_N = np.repeat(draw.choice([-5.0, 5.0], last - first), draw.integers(100, 300, last - first))
        signal_mv[row, first:last] = ends_N[: last - first]
    return signal_mv


@pytest.mark.parametrize("windows", ["first", "mean"])
def test_leads_that_all_lie_at_the_ends_of_their_range_are_lost_though_nothing_can_be_traced(windows):
    judgement = judged(at_the_rails(heart_mv(8, seconds=60.0), range(12), 0, 10000), EcgSpec(windows=windows))
    assert (judgement.traced, "leads_lost" in judgement.withheld) == (None, True)


def test_of_leads_that_cannot_be_judged_it_is_not_said_that_they_carry_no_heartbeat():
    judgement = judged(at_the_rails(heart_mv(8, seconds=60.0), range(6, 12), 3000, 9300), EcgSpec(windows="first"))
    (told,) = [one for one in judgement.warnings if one.severity == "withheld"]
    assert (told.code, set(told.leads) <= set(CHEST)) == ("leads_lost", True)
    assert "no heartbeat can be told in leads V1, V2" in told.message


@pytest.mark.parametrize("first_s", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("every_s", [60 / 75, 60 / 90])
def test_atria_that_beat_on_with_large_waves_through_a_rest_are_answered(every_s, first_s):
    beats_s = np.arange(0.3, 10.5, 0.86)
    ventricles_mv = beats_mv((NARROW, beats_s[(beats_s < 2.0) | (beats_s > 6.0)]))
    atria = ((0.12, 0.24, -0.06), 0.03)
    assert judged(ventricles_mv + heart_of(atria, np.arange(first_s, 10.5, every_s))).withheld == ()


def waves_mv(seed, samples, size_mv):
    """Ventricles that flutter: a wave of one steady frequency, and a little noise."""
    draw, t_s = np.random.default_rng(seed), np.arange(samples) / 500
    axes_3N = draw.normal(size=(3, 1)) * np.sin(2 * np.pi * draw.uniform(3, 7) * t_s + draw.uniform(0, 6, (3, 1)))
    eight_mv = LEAD_FIELD_KD @ axes_3N
    return twelve(size_mv * eight_mv / eight_mv.std() + 0.01 * draw.standard_normal((8, samples)))


@pytest.mark.parametrize("seed", [2, 13, 16, 25])
def test_a_steady_wave_that_follows_a_heart_is_no_run_of_other_beats(seed):
    signal_mv = heart_mv(4)
    signal_mv[:, 3750:] = waves_mv(seed, 1250, 0.5)
    assert judged(signal_mv).withheld == ("no_qrs",)


@pytest.mark.parametrize("seed", [18, 19, 20])
def test_a_wave_that_changes_its_frequency_is_no_heart_that_changes_its_rhythm(seed):
    signal_mv = np.concatenate([waves_mv(seed, 3000, 0.3), waves_mv(seed + 100, 2000, 0.8)], axis=1)
    assert "no_qrs" in judged(signal_mv).withheld
