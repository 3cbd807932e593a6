"""What is refused, what is warned of, and what is derived before preparation."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.prepare import prepare_ecg
from inputs.ecg.quality import check_ecg
from inputs.errors import UnusableRecording
from inputs.records import STANDARD_LEADS
from inputs.specs import EcgSpec

SPEC = EcgSpec()
ROW = {lead: row for row, lead in enumerate(STANDARD_LEADS)}


def codes(recording) -> set[str]:
    return {warning.code for warning in check_ecg(recording, SPEC).warnings}


def refusal(recording) -> UnusableRecording:
    with pytest.raises(UnusableRecording) as caught:
        prepare_ecg(recording, SPEC)
    return caught.value


def test_clean_ecg_has_no_warning(ecg):
    assert codes(ecg.recording()) == set()


def test_missing_v3_is_refused_by_name(ecg):
    leads = [lead for lead in STANDARD_LEADS if lead != "V3"]
    error = refusal(ecg.recording(ecg.signal_mv()[[ROW[lead] for lead in leads]], leads=leads))
    assert error.code == "leads_missing"
    assert error.leads == ("V3",)
    assert "V3" in str(error)


def test_limb_leads_are_derived_exactly_from_i_and_ii(ecg):
    signal = ecg.signal_mv()
    eight = ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]
    checked = check_ecg(ecg.recording(signal[[ROW[lead] for lead in eight]], leads=eight), SPEC)
    np.testing.assert_allclose(checked.signal_mv_LN, signal, rtol=0, atol=1e-6)
    assert [(warning.code, warning.leads) for warning in checked.warnings] == [
        ("leads_derived", ("III", "aVR", "aVL", "aVF"))
    ]


def test_limb_lead_without_samples_is_derived_too(ecg):
    signal = ecg.signal_mv()
    emptied = signal.copy()
    emptied[ROW["aVL"]] = np.nan
    checked = check_ecg(ecg.recording(emptied), SPEC)
    np.testing.assert_allclose(checked.signal_mv_LN, signal, rtol=0, atol=1e-6)


def test_limb_leads_are_not_derived_without_lead_ii(ecg):
    leads = [lead for lead in STANDARD_LEADS if lead not in ("II", "aVF")]
    error = refusal(ecg.recording(ecg.signal_mv()[[ROW[lead] for lead in leads]], leads=leads))
    assert error.leads == ("II", "aVF")


def test_leads_the_spec_does_not_ask_for_are_left_alone(ecg):
    signal = np.vstack([ecg.signal_mv(), np.zeros((1, 5000))])
    with_frank = prepare_ecg(ecg.recording(signal, leads=(*STANDARD_LEADS, "VX")), SPEC).signal_LN
    np.testing.assert_array_equal(with_frank, prepare_ecg(ecg.recording(), SPEC).signal_LN)


@pytest.mark.parametrize(("value", "code"), [(0.0, "signal_flat"), (3.0, "signal_flat"), (np.nan, "signal_empty")])
def test_signal_without_any_movement_is_refused(ecg, value, code):
    assert refusal(ecg.recording(np.full((12, 5000), value))).code == code


def test_three_lost_leads_are_a_warning_and_four_a_refusal_naming_them(ecg):
    signal = ecg.signal_mv()
    signal[[ROW["V1"], ROW["V2"]]] = 0.0
    signal[ROW["V3"]] = np.nan
    recording = ecg.recording(signal)
    (warning,) = check_ecg(recording, SPEC).warnings
    assert (warning.code, warning.leads) == ("leads_flat", ("V1", "V2", "V3"))
    assert np.isfinite(prepare_ecg(recording, SPEC).signal_LN).all()
    signal[ROW["V4"]] = 0.0
    error = refusal(ecg.recording(signal))
    assert error.leads == ("V1", "V2", "V3", "V4")


def test_gap_is_a_warning_naming_the_lead(ecg):
    signal = ecg.signal_mv()
    signal[ROW["V5"], 1000:1500] = np.nan
    (warning,) = check_ecg(ecg.recording(signal), SPEC).warnings
    assert (warning.code, warning.leads) == ("samples_missing", ("V5",))


@pytest.mark.parametrize("rate_hz", [5e-324, 1e-303, 1.0, 49.0, 1e6])
def test_impossible_rate_is_refused(ecg, rate_hz):
    assert refusal(ecg.recording(ecg.signal_mv(), rate_hz=rate_hz)).code == "rate_out_of_range"


def test_record_shorter_than_a_window_is_refused(ecg):
    error = refusal(ecg.recording(ecg.signal_mv(seconds=2.5)))
    assert (error.code, "printout of 3 by 4" in error.hint) == ("too_short", True)
    assert "printout" not in refusal(ecg.recording(ecg.signal_mv(seconds=2))).hint
    assert prepare_ecg(ecg.recording(ecg.signal_mv(seconds=2.52)), SPEC).signal_LN.shape == (12, 1008)


def test_record_of_an_hour_is_refused(ecg):
    assert refusal(ecg.recording(np.zeros((12, 360_000)), rate_hz=100.0)).code == "too_long"


def test_signal_cut_off_by_the_amplifier_is_a_warning(ecg):
    signal = np.clip(ecg.signal_mv(), -0.2, 0.2)
    assert "signal_clipped" in codes(ecg.recording(signal))


def test_microvolts_taken_for_millivolts_are_a_warning(ecg):
    assert "amplitude_implausible" in codes(ecg.recording(1000 * ecg.signal_mv()))


@pytest.mark.parametrize("dead", [0.0, np.nan])
@pytest.mark.parametrize("lead", ["I", "II", "III", "aVR", "aVL", "aVF"])
def test_a_limb_lead_without_a_signal_follows_from_two_others(ecg, lead, dead):
    signal = ecg.signal_mv()
    fallen = signal.copy()
    fallen[ROW[lead]] = dead
    checked = check_ecg(ecg.recording(fallen), SPEC)
    np.testing.assert_allclose(checked.signal_mv_LN, signal, rtol=0, atol=1e-5)
    assert [(one.code, one.leads) for one in checked.warnings] == [("leads_derived", (lead,))]
    assert checked.warnings[0].message.startswith(f"Lead {lead} was computed from leads ")


def test_no_limb_lead_follows_from_one(ecg):
    signal = ecg.signal_mv()
    signal[[ROW[lead] for lead in ("I", "III", "aVR", "aVL", "aVF")]] = 0.0
    assert refusal(ecg.recording(signal)).leads == ("I", "III", "aVR", "aVL", "aVF")


def test_leads_that_do_not_move_in_a_window_the_model_sees_are_lost_to_it(ecg):
    signal = ecg.signal_mv()
    draw = np.random.default_rng(3)
    chest = [ROW[lead] for lead in ("V1", "V2", "V3", "V4")]
    signal[chest, 2500:] = 0.0005 * draw.standard_normal((4, 2500))
    assert codes(ecg.recording(signal)) == set()  # its one window lies before
    with pytest.raises(UnusableRecording) as caught:
        check_ecg(ecg.recording(signal), EcgSpec(windows="mean"))
    assert caught.value.leads == ("V1", "V2", "V3", "V4")
