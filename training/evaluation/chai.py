"""The applied model card of the Coalition for Health AI, schema version 0.2 (mc.chai.org), as XML.

Element names and their order are the schema's; the words are the bundle's, and what it does not know says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from training.evaluation.bundle_facts import BundleFacts, coded
from training.evaluation.metrics import Estimate

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
UNKNOWN = "Unknown: the bundle does not say."
NOT_MEASURED = "not measured"

Fields = list[tuple[str, "str | Fields"]]
"""Elements in the schema's order, with text or elements in them."""


def chai_card(facts: BundleFacts) -> str:
    """An XML document. Nothing that is required is left out; nothing that is optional is filled in without a fact."""
    ET.register_namespace("", NAMESPACE)
    root = ET.Element(f"{{{NAMESPACE}}}AppliedModelCard")
    _fill(root, _fields(facts))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _fill(parent: ET.Element, fields: Fields) -> None:
    for name, value in fields:
        element = ET.SubElement(parent, f"{{{NAMESPACE}}}{name}")
        if isinstance(value, str):
            element.text = "".join(letter for letter in value if letter.isprintable())
        else:
            _fill(element, value)


def _fields(facts: BundleFacts) -> Fields:
    manifest = facts.manifest
    risks = "Research software, not a medical device: it must not inform decisions about a patient."
    if facts.trained_on_simulation:
        risks += " Trained on invented patients alone: what it says of real ones is untested."
    if facts.lacking_sentence is not None:
        risks += f" {facts.lacking_sentence}"
    keywords: Fields = [("Keyword", word) for word in ("ECG", "echocardiography")]
    purpose = UNKNOWN if facts.purpose is None else f"It {facts.purpose}."
    facts_of_system: Fields = [
        ("OutcomesAndOutputs", facts.output_words or UNKNOWN),
        ("ModelType", facts.model_words or UNKNOWN),
        ("InputDataSource", "A recorded 12-lead ECG."),
        ("OutputAndInputDataTypes", f"In: {facts.input_words}. Out: probabilities and unit vectors."),
        ("DevelopmentDataCharacterization", _joined(facts.data, facts.split_counts)),
        ("BiasMitigationApproaches", UNKNOWN),
        ("OngoingMaintenance", UNKNOWN),
    ]
    return [
        (
            "BasicInfo",
            [("ModelName", manifest.id), ("ModelDeveloper", UNKNOWN), ("DeveloperContact", UNKNOWN)],
        ),
        (
            "ReleaseInfo",
            [
                ("ReleaseStage", "Research software, not a medical device"),
                ("ReleaseDate", manifest.created.date().isoformat()),
                ("ReleaseVersion", f"{manifest.id}, code version {manifest.code_version}"),
                ("GlobalAvailability", UNKNOWN),
            ],
        ),
        ("ModelSummary", [("Summary", purpose), ("Keywords", keywords)]),
        (
            "UsesAndDirections",
            [
                ("IntendedUseAndWorkflow", "Research. It has no place in the care of patients."),
                ("PrimaryIntendedUsers", UNKNOWN),
                ("HowToUse", "echo2ecg serve, echo2ecg query; the README of echo2ecg tells how."),
                ("TargetedPatientPopulation", UNKNOWN),
                ("CautionedOutOfScopeSettings", "Any decision about a patient."),
            ],
        ),
        (
            "Warnings",
            [
                ("KnownRisksAndLimitations", risks),
                ("KnownBiasesOrEthicalConsiderations", facts.group_sentence() or UNKNOWN),
                ("ClinicalRiskLevel", UNKNOWN),
            ],
        ),
        (
            "TrustIngredients",
            [
                ("AISystemFacts", facts_of_system),
                ("TransparencyInformation", [("FundingSource", UNKNOWN), ("StakeholdersConsulted", UNKNOWN)]),
            ],
        ),
        ("KeyMetrics", _key_metrics(facts)),
        ("Resources", [("PeerReviewedPublications", UNKNOWN), ("PatientConsentOrDisclosure", UNKNOWN)]),
        ("Bibliography", "Echo2ECG, arXiv 2603.08505."),
    ]


def _key_metrics(facts: BundleFacts) -> Fields:
    report = facts.report
    useful = {} if report is None else report.headline() | report.own_headline(coded)
    fair, safe = {}, {}
    if report is not None:
        for found in report.overall_subgroups:
            name = f"AUROC, {found.question}, {found.column} {found.group} (n {found.n})"
            fair[name] = None if found.scores is None else found.scores.auroc
        for decided in report.overall_decisions:
            fitted, point = decided.calibration, decided.own_point
            safe[f"Calibration slope, {decided.question}"] = None if fitted is None else fitted.slope
            safe[f"Sensitivity at the own threshold, {decided.question}"] = None if point is None else point.sensitivity
            safe[f"Specificity at the own threshold, {decided.question}"] = None if point is None else point.specificity
    return [
        ("UsefulnessUsabilityEfficacy", _metric("Discrimination and retrieval.", useful, facts)),
        ("FairnessEquity", _metric("The same discrimination in every group.", fair, facts)),
        ("SafetyReliability", _metric("Probabilities that can be believed; errors at the threshold.", safe, facts)),
    ]


def _metric(goal: str, results: Mapping[str, Estimate | None], facts: BundleFacts) -> Fields:
    rows: Fields = [
        ("MetricResult", [("Label", label), ("ValueJson", json.dumps(estimate.model_dump(exclude_none=True)))])
        for label, estimate in results.items()
        if estimate is not None
    ]
    apart = facts.tested_apart
    nothing: Fields = [("MetricResult", [("Label", NOT_MEASURED), ("ValueJson", "null")])]
    return [
        ("MetricGoal", goal),
        ("Results", rows or nothing),
        ("Interpretation", UNKNOWN),
        ("TestType", _test_type(facts)),
        ("TestingDataDescription", facts.measured_on or NOT_MEASURED),
        (
            "ValidationProcessAndJustification",
            f"{apart[0].upper()}{apart[1:]}; 95 % intervals by bootstrap over patients."
            if rows and apart
            else NOT_MEASURED,
        ),
    ]


def _test_type(facts: BundleFacts) -> str:
    if facts.report is None:
        return NOT_MEASURED
    kind = (
        f"Internal: other patients of {facts.own_cohort}" if facts.own_report else "A later evaluation on some cohort"
    )
    return f"{kind}{', all of them simulated' if facts.report.simulated_cohort else ''}."


def _joined(*parts: str | None) -> str:
    return ". ".join(part for part in parts if part) or UNKNOWN
