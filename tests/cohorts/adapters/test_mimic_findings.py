"""Grades of MIMIC-IV-ECHO are words: what is negated is no finding, and what cannot be graded is unknown."""

from __future__ import annotations

import math

import pytest

from cohorts.adapters.mimic_findings import _right_atrium_mmhg, at_least_moderate

GRADES: dict[bool | None, tuple[str, ...]] = {
    True: (
        "Moderate", "Mod", "Mod-severe", "MODERATE-SEVERE", "Moderately severe", "Severe", "Very severe", "Torrential",
        "Massive", "Significant", "Large", "Very large", "Moderate/large", "Moderate global RV hypokinesis",
        "Severely depressed", "Depressed", "Moderate, not severe", "Mod, nonsevere", "Moderate (old), now trivial",
        "No significant change. Severe",
    ),
    False: (
        "None", "No", "Normal", "Nl", "Low normal", "Low-normal", "Borderline", "Physiologic", "Trace", "Trivial",
        "Minimal", "Mild", "Mildly", "Mild to moderate", "Mild-moderate", "Mild, not severe", "Very small", "Small",
        "Trace/small", "Hyperdynamic", "None, incr vel high output", "Anterior fat pad", "Not significant",
        "Insignificant", "Hemodynamically insignificant", "Not clinically significant", "Non-significant",
        "No significant", "Without significant", "Without significant regurgitation", "Not depressed",
        "Large pleural, no pericardial", "No pericardial effusion",
    ),
    None: (
        "", "Cannot assess", "Not well seen", "Not severe", "Nonsevere", "Non-severe", "No severe", "Not large",
        "Not severely depressed", "Not moderate", "Less than moderate", "<moderate", "Less than severe", "Not enlarged",
        "Modified", "Present", "Abnormal", "3+", "Large pleural effusion", "No large", "No significant change",
        "Normal on one view, severe on another",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "grade"), [(answer, grade) for answer in GRADES for grade in GRADES[answer]])
def test_a_grade_is_at_least_moderate_only_where_it_says_so(expected, grade):
    assert at_least_moderate(grade.lower()) is expected


@pytest.mark.parametrize(
    ("words", "mmhg"),
    [
        ("IVC dilated (>2.1cm) with >50% decrease with sniff (5-10mmHg)", 8.0),
        ("IVC<=2.1cm, <50% collapse (10-15mmHg)", 13.0),
        ("IVC dilated, no collapse (>15mmHg)", 20.0),
        ("Dilated IVC", 20.0),
        ("nl IVC, not dilated", 3.0),
        ("Normal IVC diameter (>50% decrease), not dilated", 3.0),
        ("IVC not dilated", None),
        ("Non-dilated", None),
        ("Nondilated IVC", None),
        ("IVC normal, dilated hepatic veins", None),
    ],
)
def test_a_vena_cava_that_is_not_dilated_never_speaks_of_a_high_pressure(words, mmhg):
    found = _right_atrium_mmhg(words.lower())
    assert math.isnan(found) if mmhg is None else found == mmhg
