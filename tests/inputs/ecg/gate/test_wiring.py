"""Exchanged electrodes are told by how the leads fit together, and hearts as they are raise nothing."""

from dataclasses import replace

import numpy as np
import pytest
from dipole import heart_mv
from healthy import HEALTHY
from hearts import simulated

from inputs.ecg.gate.gate import gate_warnings, withheld_codes
from inputs.ecg.gate.wiring import INDEPENDENT_LEADS, MIRRORED, REVERSED, ROTATED, exchange_in, undone
from inputs.ecg.measured.traced import trace_ecg
from inputs.records import STANDARD_LEADS, EcgRecording

HEARTS = [simulated(seed, physiology=HEALTHY, ectopy=0.0, rate_hz=500)[0].signal_mv for seed in range(4)]
HEARTS += [heart_mv(seed).astype(np.float32) for seed in range(4)]
ROWS = [STANDARD_LEADS.index(lead) for lead in INDEPENDENT_LEADS]


def rewired(signal_mv, what):
    """The twelve leads of the same heart with electrodes exchanged."""
    one, two, *chest = undone(what) @ signal_mv[ROWS]
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest]).astype(np.float32)


def found(signal_mv):
    return gate_warnings(trace_ecg(EcgRecording(signal_mv, 500.0, STANDARD_LEADS, "invented")))


@pytest.mark.parametrize("signal_mv", HEARTS)
def test_nothing_is_said_of_electrodes_where_they_should_be(signal_mv):
    assert not [one for one in found(signal_mv) if one.code.endswith("_exchanged")]


@pytest.mark.parametrize("signal_mv", HEARTS)
def test_exchanged_arms_are_withheld(signal_mv):
    warnings = found(rewired(signal_mv, "RA-LA"))
    assert withheld_codes(warnings) == ("arms_exchanged",)
    (told,) = [one for one in warnings if one.code == "arms_exchanged"]
    assert told.leads == ("I", "II", "III", "aVR", "aVL", "aVF")


@pytest.mark.parametrize("what", ["V1-V2", "V2-V3", "V3-V4", "V4-V5", "V1-V6"])
@pytest.mark.parametrize("signal_mv", HEARTS[:2] + HEARTS[4:6])
def test_exchanged_chest_leads_are_named_and_answered(signal_mv, what):
    warnings = found(rewired(signal_mv, what))
    assert withheld_codes(warnings) == ()
    (told,) = [one for one in warnings if one.code == "chest_leads_exchanged"]
    assert told.leads == tuple(what.split("-"))


@pytest.mark.parametrize("signal_mv", HEARTS[:2])
def test_right_arm_and_left_leg_exchanged_are_named(signal_mv):
    (told,) = [one for one in found(rewired(signal_mv, "RA-LL")) if one.code == "limb_leads_exchanged"]
    assert "right arm and the left leg" in told.message


def test_chest_leads_in_reverse_order_are_named():
    warnings = found(rewired(HEARTS[0], REVERSED))
    assert "V1 to V6 may be in reverse order." in [one.message for one in warnings]


def test_every_exchange_undoes_itself():
    for what in ("RA-LA", "RA-LL", "LA-LL", "V1-V5", REVERSED):
        np.testing.assert_array_equal(undone(what) @ undone(what), np.eye(8))


def test_arms_exchanged_are_what_happens_at_the_electrodes():
    """Potentials of RA, LA, LL and V1 to V6 against each other, with RA and LA taken for one another."""
    electrodes = np.random.default_rng(1).normal(size=(9, 50))

    def leads(ra, la, ll, *chest):
        return np.stack([la - ra, ll - ra, *(one - (ra + la + ll) / 3 for one in chest)])

    ra, la, ll, *chest = electrodes
    for what, as_wired in {"RA-LA": (la, ra, ll), "RA-LL": (ll, la, ra), "LA-LL": (ra, ll, la)}.items():
        np.testing.assert_allclose(undone(what) @ leads(ra, la, ll, *chest), leads(*as_wired, *chest), atol=1e-12)


@pytest.mark.parametrize("lead", ["V1", "V4", "V6"])
@pytest.mark.parametrize("fallen", [0.0, np.nan])
@pytest.mark.parametrize("signal_mv", HEARTS[:2] + HEARTS[4:6])
def test_exchanged_arms_are_withheld_though_a_chest_lead_fell_off(signal_mv, lead, fallen):
    changed = rewired(signal_mv, "RA-LA")
    changed[STANDARD_LEADS.index(lead)] = fallen
    assert withheld_codes(found(changed)) == ("arms_exchanged",)
    changed = signal_mv.copy()
    changed[STANDARD_LEADS.index(lead)] = fallen
    assert withheld_codes(found(changed)) == ()


def test_of_broad_beats_more_is_asked_of_an_exchange_but_of_the_right_arm_s():
    clear, little = rewired(HEARTS[4], "V3-V4")[ROWS], rewired(HEARTS[0], "V3-V4")[ROWS]
    assert exchange_in(little).what == exchange_in(clear).what == "V3-V4"
    assert exchange_in(little, broad=True) is None
    assert exchange_in(clear, broad=True) == exchange_in(clear)
    for what in ("RA-LA", "RA-LL"):
        told = [exchange_in(rewired(signal_mv, what)[ROWS]) for signal_mv in HEARTS]
        of_broad = [exchange_in(rewired(signal_mv, what)[ROWS], broad=True) for signal_mv in HEARTS]
        found_so = [n for n, one in enumerate(told) if one is not None and one.what == what]
        assert len(found_so) >= 5
        assert all(of_broad[n] == told[n] for n in found_so)


@pytest.mark.parametrize(("kind", "most"), [("left_bundle_block", 2), ("paced", 4)])
def test_of_thirty_broad_hearts_hardly_any_is_taken_for_wrong_wiring(kind, most):
    hearts = [simulated(seed, physiology=replace(HEALTHY, conduction=kind), rate_hz=500)[0] for seed in range(30)]
    told = [{one.code for one in found(heart.signal_mv)} for heart in hearts]
    wrong = [codes for codes in told if any(code.endswith("_exchanged") or code == "heart_mirrored" for code in codes)]
    assert len(wrong) <= most


def test_an_exchange_is_said_only_of_leads_that_move_and_of_six_at_least():
    signal_mv = rewired(HEARTS[0], "V3-V4")[ROWS]
    assert exchange_in(signal_mv).what == "V3-V4"
    signal_mv[INDEPENDENT_LEADS.index("V4")] = 0.0
    assert exchange_in(signal_mv) is None
    arms_mv = rewired(HEARTS[0], "RA-LA")[ROWS]
    arms_mv[5:] = 0.0
    assert exchange_in(arms_mv) is None


@pytest.mark.parametrize("what", ["RA-LA and V1-V2", "RA-LA and V1-V3", "RA-LA and V3-V4"])
def test_exchanged_arms_are_withheld_together_with_chest_leads(what):
    withheld = [withheld_codes(found(rewired(signal_mv, what))) for signal_mv in HEARTS]
    assert withheld.count(("arms_exchanged",)) >= len(HEARTS) - 1  # V3 and V4 may look exchanged alone


@pytest.mark.parametrize("signal_mv", HEARTS)
def test_a_heart_on_the_right_side_is_never_called_an_exchange_of_chest_leads_alone(signal_mv):
    warnings = found(rewired(signal_mv, MIRRORED))
    assert "chest_leads_exchanged" not in {one.code for one in warnings}


def test_of_limb_electrodes_moved_round_and_moved_back_nothing_is_left():
    one, other = ROTATED
    np.testing.assert_allclose(undone(one) @ undone(other), np.eye(8), atol=1e-12)
    np.testing.assert_allclose(undone(MIRRORED) @ undone(MIRRORED), np.eye(8), atol=1e-12)
