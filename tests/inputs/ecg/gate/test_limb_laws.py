"""Names that are wrong break the laws of the limb leads; a fault of one lead, or of a moment, does not."""

import numpy as np
import pytest
from dipole import heart_mv

from inputs.ecg.gate.limb_laws import LIMB_LEADS, from_two, law_warnings
from inputs.records import STANDARD_LEADS, EcgRecording

ROW = {lead: row for row, lead in enumerate(STANDARD_LEADS)}
ELEVEN = tuple(lead for lead in STANDARD_LEADS if lead != "III")


def told(signal_mv, leads=STANDARD_LEADS, without=()):
    recording = EcgRecording(np.asarray(signal_mv, np.float32), 500.0, leads, "invented")
    return [(one.severity, one.leads) for one in law_warnings(recording, without)]


@pytest.mark.parametrize("lead", ["aVR", "aVL", "aVF"])
def test_one_lead_upside_down_is_a_warning(lead):
    signal_mv = heart_mv(0)
    assert told(signal_mv) == []
    signal_mv[ROW[lead]] *= -1
    assert told(signal_mv) == [("warning", (lead,))]


@pytest.mark.parametrize("seed", range(12))
def test_names_in_another_order_are_withheld_with_and_without_lead_iii(seed):
    signal_mv = heart_mv(0)
    order = np.random.default_rng(seed).permutation(12)
    assert told(signal_mv[order])[0][0] == "withheld"
    order = np.random.default_rng(seed).permutation(11)
    assert told(signal_mv[[ROW[lead] for lead in ELEVEN]][order], ELEVEN)[0][0] == "withheld"


@pytest.mark.parametrize("lead", LIMB_LEADS)
def test_no_law_is_asked_of_a_lead_without_a_heartbeat(lead):
    signal_mv = heart_mv(1)
    signal_mv[ROW[lead]] = 0.2 * np.random.default_rng(1).standard_normal(5000)
    assert told(signal_mv, without={lead}) == []


def test_a_step_and_a_pulse_in_all_leads_break_no_law():
    signal_mv = heart_mv(2)
    signal_mv[0, 2500:] += 0.5
    signal_mv[:, 100:200] += 1.0
    assert told(signal_mv) == []


def test_leads_that_were_cut_off_break_no_law():
    assert told(np.clip(heart_mv(3), -0.4, 0.4)) == []


def test_leads_sampled_half_a_millisecond_apart_are_never_withheld():
    late_mv = np.stack(
        [np.interp(np.arange(5000) - 0.25 * n, np.arange(5000), row) for n, row in enumerate(heart_mv(4))]
    )
    assert all(severity == "warning" for severity, _ in told(late_mv))


def test_any_two_limb_leads_make_the_others():
    signal_mv = heart_mv(5)
    for lead in LIMB_LEADS:
        for first, second in (("III", "aVF"), ("aVR", "aVL"), ("II", "III")):
            of_first, of_second = from_two(lead, first, second)
            np.testing.assert_allclose(
                of_first * signal_mv[ROW[first]] + of_second * signal_mv[ROW[second]], signal_mv[ROW[lead]], atol=1e-6
            )
