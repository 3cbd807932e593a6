"""Leads by every spelling that devices use, and nothing that is a position, another lead or an EEG."""

from __future__ import annotations

import pytest

from inputs.ecg.leads import lead_from_code, lead_from_name, leads_from_names, number_of_code
from inputs.records import STANDARD_LEADS

LIMB, CHEST = STANDARD_LEADS[:6], STANDARD_LEADS[6:]
CHEST_ELECTRODES = ("C1", "C2", "C3", "C4", "C5", "C6")


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("EKG I", "I"), ("ECG V1", "V1"), ("ECG-aVR", "aVR"), ("Lead-II", "II"), ("aVr", "aVR"), ("AVF", "aVF"),
        ("aV R", "aVR"), ("ecg_lead_v6", "V6"), ("Ableitung III", "III"), ("V 2", "V2"), ("V_5", "V5"),
        ("Limb lead I", "I"), ("Limb lead 2", "II"), ("Chest lead 1", "V1"), ("Chest lead V6", "V6"),
        ("Chest lead C4", "V4"), ("Precordial lead 3", "V3"), ("Lead aVR, augmented voltage, right", "aVR"),
        ("Lead II (Einthoven)", "II"), ("aVF (Goldberger)", "aVF"), ("V1 (C1)", "V1"), ("Lead I (limb)", "I"),
        ("MDC_ECG_ELEC_POTL_AVF", "aVF"), ("MDC_ECG_ELEC_POTL_V4", "V4"), ("mdc_ecg_lead_avl", "aVL"),
        ("MDC_ECG_LEAD_X", "VX"), ("131073", "I"), ("131389", "III"), ("Lead V3R", "V3R"), ("V7", "V7"),
    ],
)  # fmt: skip
def test_a_lead_is_known_by_its_spellings(name, lead):
    assert lead_from_name(name) == lead


@pytest.mark.parametrize("lead", STANDARD_LEADS)
@pytest.mark.parametrize("spelt", ["{}", " {} ", "Lead {}", "ECG {}", "EKG-{}", "MDC_ECG_LEAD_{}", "ECG Lead {}"])
def test_every_standard_lead_is_known_in_any_case(lead, spelt):
    for name in (spelt.format(lead), spelt.format(lead).lower(), spelt.format(lead).upper()):
        assert lead_from_name(name) == lead


@pytest.mark.parametrize(
    "name",
    ["-aVR", "Lead -aVR", "ECG -aVR", "aVR (inverted)", "aVR (-)", "aVR-", "aVRneg", "\u2212aVR", "negative aVR",
     "Lead V4 (right)", "V1 (V4R)", "II (MLII)", "V3 R", "Derived lead V1", "V1cal", "MDC_ECG_LEAD_V1cal", "dV1"],
)  # fmt: skip
def test_another_lead_is_not_taken_for_a_standard_one(name):
    assert lead_from_name(name) is None


@pytest.mark.parametrize(
    "name",
    ["ECG 1", "ECG1", "ch1", "Channel 1", "Lead 1", "1", "V", "V0", "V1 (uV)", "I mV", "x" * 10_000,
     "MDC_ECG_ELEC_POTL_V", "131072", "131137", "C1", "X", "(I)", "I, II"],
)  # fmt: skip
def test_a_position_a_unit_and_a_bare_letter_name_no_lead(name):
    assert lead_from_name(name) is None


@pytest.mark.parametrize("spelt", ["{}", "Lead {}", "ECG {}", "ekg-{}"])
def test_chest_electrodes_beside_limb_leads_are_the_chest_leads(spelt):
    names = [spelt.format(name) for name in (*LIMB, *CHEST_ELECTRODES)]
    assert leads_from_names(names) == STANDARD_LEADS
    assert leads_from_names(["I", "II", *CHEST_ELECTRODES[::-1]]) == ("I", "II", *CHEST[::-1])


@pytest.mark.parametrize(
    "names",
    [
        CHEST_ELECTRODES,
        ("I", *CHEST_ELECTRODES),
        (*LIMB, "C1", "C3", "C4"),
        (*LIMB, *CHEST_ELECTRODES, "Cz"),
        (*LIMB, *CHEST_ELECTRODES, "Fp1"),
        (*LIMB, *CHEST_ELECTRODES, "EEG Fz-A2"),
        (*LIMB, *CHEST_ELECTRODES, "C6"),
        (*LIMB, *CHEST_ELECTRODES, "V1"),
    ],
)
def test_electrodes_of_an_eeg_are_no_chest_leads(names):
    leads = leads_from_names(names)
    assert [lead for name, lead in zip(names, leads, strict=True) if name.startswith("C")] == [None] * sum(
        name.startswith("C") for name in names
    )
    assert leads[: len(LIMB)] == tuple(map(lead_from_name, names[: len(LIMB)]))


def test_names_that_are_known_alone_are_known_among_others():
    names = ("resp", "MLII", "II", "v5", "")
    assert leads_from_names(names) == (None, None, "II", "V5", None)
    assert leads_from_names(()) == ()


@pytest.mark.parametrize(
    ("code", "scheme", "lead"),
    [
        ("131073", "MDC", "I"), ("131329", "MDC", "I"), ("131392", "2.16.840.1.113883.6.24", "aVF"),
        ("2:257", "MDC", "I"), ("2:320", "MDC", "aVF"), ("2:9", "MDC", "V7"), ("5.6.3-9-11", "SCPECG", "V3R"),
        ("2:66", "MDC", "V8"), ("2:65", "MDC", None), ("2:15872", "MDC", None), ("2:0", "MDC", None),
        ("131072", "MDC", None), ("5.6.3-9-257", "SCPECG", None), ("131073", "99ACME", None),
    ],
)  # fmt: skip
def test_a_lead_is_known_by_its_code(code, scheme, lead):
    assert lead_from_code(code, scheme) == lead


def test_a_code_of_another_lead_is_told_from_one_that_says_nothing():
    assert number_of_code("2:65", "MDC") == 65
    assert number_of_code("5.6.3-9-31", "SCPECG") == 31
    assert [number_of_code(*code) for code in (("2:0", "MDC"), ("9", "99LOCAL"), ("", ""))] == [None, None, None]
