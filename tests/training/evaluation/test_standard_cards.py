"""Cards by other people's lists: what a bundle knows is answered, and nothing else is."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from evaluated import CPU, random_bundle
from typer.testing import CliRunner

from cli.demo import DEMO_BUNDLE
from cli.main import app
from ground.errors import Refusal
from models.bundle import BundleError, read_manifest, read_probes
from models.lacking import lacking_parts, lacking_sentence
from training.evaluation.bundle_facts import bundle_facts, coded
from training.evaluation.chai import NAMESPACE, UNKNOWN, chai_card
from training.evaluation.evaluate import evaluate
from training.evaluation.own_reports import OwnReport
from training.evaluation.tripod import ITEMS, tripod_card

FIRST_LAYOUT = Path(__file__).resolve().parents[2] / "data" / "first_layout" / "bundle"
FACTS = {
    "UsefulnessUsabilityEfficacy",
    "FairnessEquity",
    "SafetyReliability",
}
METRIC = [
    "MetricGoal", "Results", "Interpretation", "TestType", "TestingDataDescription",
    "ValidationProcessAndJustification",
]  # fmt: skip
REQUIRED = {
    "AppliedModelCard": [
        "BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings", "TrustIngredients", "KeyMetrics",
        "Resources", "Bibliography",
    ],
    "BasicInfo": ["ModelName", "ModelDeveloper", "DeveloperContact"],
    "ReleaseInfo": ["ReleaseStage", "ReleaseDate", "ReleaseVersion", "GlobalAvailability"],
    "ModelSummary": ["Summary", "Keywords"],
    "UsesAndDirections": [
        "IntendedUseAndWorkflow", "PrimaryIntendedUsers", "HowToUse", "TargetedPatientPopulation",
        "CautionedOutOfScopeSettings",
    ],
    "Warnings": ["KnownRisksAndLimitations", "KnownBiasesOrEthicalConsiderations", "ClinicalRiskLevel"],
    "TrustIngredients": ["AISystemFacts", "TransparencyInformation"],
    "AISystemFacts": [
        "OutcomesAndOutputs", "ModelType", "InputDataSource", "OutputAndInputDataTypes",
        "DevelopmentDataCharacterization", "BiasMitigationApproaches", "OngoingMaintenance",
    ],
    "TransparencyInformation": ["FundingSource", "StakeholdersConsulted"],
    "KeyMetrics": ["UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability"],
    **dict.fromkeys(FACTS, METRIC),
    "MetricResult": ["Label", "ValueJson"],
    "Resources": ["PeerReviewedPublications", "PatientConsentOrDisclosure"],
}  # fmt: skip
"""Elements that the schema requires, in its order; those that it leaves free are not written."""


@pytest.fixture
def imported(tmp_path, micro_recipe):
    """A bundle that says nothing of its training and was not evaluated."""
    return random_bundle(tmp_path / "imported", micro_recipe, with_probes=False, echo=False)


def rows(card):
    """Cut as GitHub cuts a table: at every bar without a backslash before it, whatever is code."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.findall(r"\|((?:\\.|[^\\|])*)(?=\|)", line)] for line in lines]
    return {item: (status, answer) for item, _, status, answer in cells if item in ITEMS}


def local(element):
    assert element.tag.startswith(f"{{{NAMESPACE}}}")
    return element.tag.split("}")[1]


def text_of(card, name):
    return next(e.text for e in ET.fromstring(card).iter() if local(e) == name)


def test_every_tripod_item_has_a_row_and_an_answer_only_where_it_says_answered():
    assert len(ITEMS) == 52
    found = rows(tripod_card(bundle_facts(DEMO_BUNDLE)))
    assert list(found) == list(ITEMS)
    for status, answer in found.values():
        assert bool(answer) == status.startswith("answered")
    assert found["23a"][0] == "answered, simulated data"
    assert found["5a"][0] == found["21"][0] == "answered in part, simulated data"
    assert "AUROC, SHD: 0.841" in found["23a"][1]
    assert found["12a"][1].startswith("train: 2063 patients")
    assert {found[item][0] for item in ("2", "10", "17", "18a", "18d", "19")} == {"not answered"}


def test_a_bundle_that_knows_nothing_of_its_training_answers_nothing_of_it(imported):
    card = tripod_card(bundle_facts(imported))
    found = rows(card)
    unknown = ("1", "5a", "11", "12a", "12c", "12e", "12g", "15", "18e", "20a", "21", "23a", "26")
    assert {item: found[item][0] for item in unknown} == dict.fromkeys(unknown, "not answered")
    assert "it has no evaluation" in card
    assert found["7"][0] == "answered"


def test_a_label_is_shown_as_code_and_kept_apart_from_a_question_of_its_name(monkeypatch):
    assert coded("a `<b>x</b>` *c*") == "`a '<b>x</b>' *c*`"
    probes = read_probes(DEMO_BUNDLE, read_manifest(DEMO_BUNDLE)[0])
    everybody = probes.shd.operating_point.calls.model_copy(update={"called_C": (8.0, 2.0), "not_called_C": (0.0, 0.0)})
    point = probes.shd.operating_point.model_copy(update={"calls": everybody})
    own = {"SHD": probes.shd.model_copy(update={"operating_point": point})}
    given = probes.model_copy(update={"own_yes_no": own})
    monkeypatch.setattr("training.evaluation.bundle_facts.read_probes", lambda *_: given)
    facts = bundle_facts(DEMO_BUNDLE)
    assert (facts.untold, facts.untold_own) == (frozenset(), ("SHD",))
    said = rows(tripod_card(facts))["15"][1]
    assert "SHD above" in said
    assert "no yes or no, because the limit rules nothing out: `SHD`" in said


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("a|b", r"`a\|b`"),
        ("c`d", "`c'd`"),
        ("`|`*e*<b>", r"`'\|'*e*<b>`"),
        (r"f\|g", r"`f\\\|g`"),
        ("SHD", "`SHD`"),
    ],
)
def test_a_label_of_any_letters_stands_as_code_in_whole_rows(label, shown):
    facts = bundle_facts(DEMO_BUNDLE)
    report = facts.report
    own = (
        OwnReport(label=label, yes_no=report.linear_probe.shd),
        OwnReport(label=f"{label} n", number=report.phenotypes[0].linear),
    )
    given = replace(facts, report=report.model_copy(update={"own": own}))
    found, without = rows(tripod_card(given)), rows(tripod_card(facts))
    assert list(found) == list(ITEMS)
    assert f", {shown} above 0." in found["15"][1]
    assert f", {shown}: {report.linear_probe.shd.positives} of " in found["21"][1]
    assert f", {shown[:-1]} n`: {own[1].number.n} ECGs" in found["21"][1]
    assert f"; AUROC, {shown}: 0." in found["23a"][1]
    assert f"; R2, {shown[:-1]} n`: " in found["23a"][1]
    in_chai = [element.text for element in ET.fromstring(chai_card(given)).iter() if local(element) == "Label"]
    assert in_chai.count("AUROC, SHD") == 1, "no label takes the place of a question"
    assert f"AUROC, {coded(label)}" in in_chai
    for item in ITEMS:
        if item not in ("12e", "15", "21", "23a"):
            assert found[item] == without[item]


def test_an_evaluation_that_cannot_be_read_is_not_called_none(imported, monkeypatch):
    manifest, digest = read_manifest(imported)
    other = manifest.model_copy(update={"metrics": {"test": {"of": "another version"}}})
    monkeypatch.setattr("training.evaluation.bundle_facts.read_manifest", lambda folder: (other, digest))
    assert "its evaluation cannot be read by this version" in tripod_card(bundle_facts(imported))


@pytest.mark.parametrize("bundle", ["demo", "imported"])
def test_a_chai_card_has_what_the_schema_requires_in_its_order(bundle, imported):
    facts = bundle_facts(DEMO_BUNDLE if bundle == "demo" else imported)
    root = ET.fromstring(chai_card(facts).encode())
    assert local(root) == "AppliedModelCard"
    for element in root.iter():
        children = [local(child) for child in element]
        if local(element) in REQUIRED:
            assert children == REQUIRED[local(element)]
        elif local(element) in ("Keywords", "Results"):
            assert len(children) >= 1
        else:
            assert not children
            assert element.text


def test_what_a_chai_card_cannot_know_is_unknown_and_what_was_not_measured_says_so(imported):
    card = chai_card(bundle_facts(DEMO_BUNDLE))
    for name in ("ModelDeveloper", "FundingSource", "TargetedPatientPopulation", "PeerReviewedPublications"):
        assert text_of(card, name) == UNKNOWN
    assert "invented" in text_of(card, "KnownRisksAndLimitations")
    assert "simulated" in text_of(card, "TestType")
    nothing = chai_card(bundle_facts(imported))
    assert text_of(nothing, "TestType") == text_of(nothing, "Label") == "not measured"
    assert text_of(nothing, "DevelopmentDataCharacterization") == UNKNOWN
    assert "invented" not in text_of(nothing, "KnownRisksAndLimitations")


def test_a_later_evaluation_fills_in_what_the_stored_one_lacks(cohort_dir, micro_recipe, tmp_path):
    bundle = random_bundle(tmp_path / "bundle", micro_recipe, with_probes=True)
    report = evaluate(bundle, cohort_dir, "test", CPU)
    (tmp_path / "r.json").write_text(report.model_dump_json())
    facts = bundle_facts(bundle, tmp_path / "r.json")
    found = rows(tripod_card(facts))
    assert "sex female: 8 ECGs of 8 patients" in found["20b"][1]
    assert found["14"][0] == "answered in part", "what was measured, and not what was done about it"
    assert found["16"][0] == "not answered"  # whose patients the later cohort has, the bundle cannot know
    assert "whether any of them trained it" in found["12g"][1]
    chai = chai_card(facts)
    assert f"SHD, sex female (n {report.ecgs})" in chai
    assert text_of(chai, "ValidationProcessAndJustification").startswith("The test patients of a cohort; whether any")
    assert "trained and tuned nothing" not in chai
    assert "null" not in chai, "what was not measured is not listed"
    with pytest.raises(Refusal, match="is of random and the bundle is demo"):
        bundle_facts(DEMO_BUNDLE, tmp_path / "r.json")
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(Refusal, match="is no evaluation"):
        bundle_facts(bundle, tmp_path / "r.json")


@pytest.mark.parametrize("bundle", ["first layout", "imported"])
def test_every_card_says_what_the_answers_of_a_bundle_lack(bundle, imported):
    folder = FIRST_LAYOUT if bundle == "first layout" else imported
    manifest, _ = read_manifest(folder)
    sentence = lacking_sentence(lacking_parts(read_probes(folder, manifest)))
    assert ("no LVEF number" if bundle == "first layout" else "no predictions") in sentence
    plain = CliRunner().invoke(app, ["bundle", "card", str(folder)]).output
    assert plain == f"{(folder / 'README.md').read_text()}\n## What its answers lack\n\n{sentence}\n"
    assert tripod_card(bundle_facts(folder)).count(sentence) == 1
    assert sentence in text_of(chai_card(bundle_facts(folder)), "KnownRisksAndLimitations")


def test_a_bundle_that_lacks_nothing_has_cards_that_say_nothing_of_it(monkeypatch):
    monkeypatch.setattr("cli.bundle_card.lacking_parts", lambda probes: ())
    monkeypatch.setattr("training.evaluation.bundle_facts.lacking_parts", lambda probes: ())
    plain = CliRunner().invoke(app, ["bundle", "card", str(DEMO_BUNDLE)])
    assert plain.output == (DEMO_BUNDLE / "README.md").read_text()
    facts = bundle_facts(DEMO_BUNDLE)
    assert "refit" not in tripod_card(facts) + chai_card(facts)


def test_no_threshold_is_listed_of_a_question_that_the_model_cannot_tell(monkeypatch):
    probes = read_probes(DEMO_BUNDLE, read_manifest(DEMO_BUNDLE)[0])
    assert "SHD above 0." in rows(tripod_card(bundle_facts(DEMO_BUNDLE)))["15"][1]
    point = probes.shd.operating_point
    by_chance = point.model_copy(update={"threshold": 0.9})
    shd = probes.shd.model_copy(update={"operating_point": by_chance})
    monkeypatch.setattr(
        "training.evaluation.bundle_facts.read_probes", lambda *_: probes.model_copy(update={"shd": shd})
    )
    told = rows(tripod_card(bundle_facts(DEMO_BUNDLE)))["15"][1]
    assert "SHD above" not in told
    assert told.endswith("no yes or no, because the limit rules nothing out: SHD")


def test_the_command_writes_the_card_of_the_bundle_unless_another_is_asked_for(imported):
    plain = CliRunner().invoke(app, ["bundle", "card", str(DEMO_BUNDLE)])
    assert plain.output.startswith((DEMO_BUNDLE / "README.md").read_text())
    tripod = CliRunner().invoke(app, ["bundle", "card", str(DEMO_BUNDLE), "--format", "tripod"])
    assert tripod.output == tripod_card(bundle_facts(DEMO_BUNDLE))
    chai = CliRunner().invoke(app, ["bundle", "card", str(DEMO_BUNDLE), "--format", "chai"])
    assert ET.fromstring(chai.output.encode()) is not None
    (imported / "README.md").write_text("Another.\n")
    assert isinstance(CliRunner().invoke(app, ["bundle", "card", str(imported)]).exception, BundleError)
