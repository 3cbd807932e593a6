"""What a bundle answers of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), item by item.

The 52 items are named in words of our own. An item is answered from the manifest and the evaluation or not at all: a
study's protocol, ethics and funding are for whoever reports the study.
"""

from __future__ import annotations

import re

from training.evaluation.bundle_facts import BundleFacts, coded
from training.evaluation.evaluate import EvaluationReport

ITEMS: dict[str, str] = {
    "1": "title",
    "2": "abstract",
    "3a": "healthcare context and rationale",
    "3b": "target population, place in care, users",
    "3c": "known health inequalities",
    "4": "objectives",
    "5a": "sources of data",
    "5b": "dates of the data",
    "6a": "setting and centres",
    "6b": "eligibility",
    "6c": "treatments",
    "7": "data preparation",
    "8a": "outcome and its definition",
    "8b": "outcome assessors",
    "8c": "blinding of the outcome's assessment",
    "9a": "choice of predictors",
    "9b": "definition of predictors",
    "9c": "predictor assessors",
    "10": "sample size and its justification",
    "11": "missing data",
    "12a": "how data were used and split",
    "12b": "how predictors entered the analysis",
    "12c": "type of model, steps of building it",
    "12d": "differences between clusters",
    "12e": "measures of performance",
    "12f": "updating of the model",
    "12g": "how predictions were made in evaluation",
    "13": "class imbalance",
    "14": "fairness",
    "15": "output of the model, thresholds",
    "16": "differences between development and evaluation",
    "17": "ethics approval and consent",
    "18a": "funding",
    "18b": "conflicts of interest",
    "18c": "protocol",
    "18d": "registration",
    "18e": "availability of data",
    "18f": "availability of code",
    "19": "patient and public involvement",
    "20a": "flow of participants",
    "20b": "characteristics of participants",
    "20c": "development data beside evaluation data",
    "21": "participants and events in each analysis",
    "22": "specification of the full model",
    "23a": "performance with intervals, in subgroups too",
    "23b": "results by cluster",
    "24": "results of updating",
    "25": "interpretation",
    "26": "limitations",
    "27a": "poor or missing input in use",
    "27b": "user interaction and expertise",
    "27c": "next steps for research",
}
NOT_ANSWERED = "not answered"


def tripod_card(facts: BundleFacts) -> str:
    """A Markdown table of every item: answered, answered in part, or not."""
    answers = _of_the_model(facts) | _of_the_evaluation(facts)
    simulated = facts.trained_on_simulation
    rows = []
    for item, topic in ITEMS.items():
        answer = answers.get(item)
        if answer is None:
            rows.append(f"| {item} | {topic} | {NOT_ANSWERED} | |")
        else:
            status = "answered in part" if item in _IN_PART else "answered"
            if simulated and item in _OF_DATA:
                status += ", simulated data"
            rows.append(f"| {item} | {topic} | {status} | {_cell(answer)} |")
    answered = [item for item in ITEMS if answers.get(item) is not None]
    in_part = sum(item in _IN_PART for item in answered)
    lines = [
        f"# {_cell(facts.manifest.id)}: TRIPOD+AI",
        "",
        f"{len(answered)} of {len(ITEMS)} items are answered, {in_part} of them in part, from the bundle's manifest"
        + (
            " and its evaluation."
            if facts.report is not None
            else "; its evaluation cannot be read by this version."
            if facts.unread
            else "; it has no evaluation."
        ),
        "The others are for whoever reports a study with it. Items: Collins et al., BMJ 2024;385:e078378.",
        *(() if facts.lacking_sentence is None else ("", facts.lacking_sentence)),
        "",
        "| item | about | status | answer |",
        "|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


_IN_PART = {"1", "5a", "8a", "14", "20a", "20b", "21", "26"}
"""Items that ask for more than a bundle can say, in this order: the population; why these data; how and when outcomes
were assessed; what was done about unfairness; the flow by outcome; characteristics beyond sex and age; the analyses of
development; and limits beyond invented patients."""
_OF_DATA = {"5a", "11", "12a", "12e", "12g", "14", "16", "18e", "20a", "20b", "21", "23a", "23b", "26"}
"""Items whose answers speak of patients, who may be invented."""


def _of_the_model(facts: BundleFacts) -> dict[str, str | None]:
    manifest, recipe, trained_on = facts.manifest, facts.recipe, facts.trained_on
    again = None
    if facts.trained_on_simulation and {"patients", "seed"} <= set(trained_on):
        again = f"`echo2ecg simulate --patients {trained_on['patients']} --seed {trained_on['seed']}` makes them again"
    built = None if recipe is None else f"{facts.model_words}; recipe {recipe}, every setting in `manifest.json`"
    unreal = "no real patient was seen: what is measured says nothing of real ones"
    return {
        "1": None if facts.purpose is None else f"{manifest.id}: {facts.purpose}",
        "5a": facts.data,
        "7": facts.input_words,
        "8a": facts.output_words,
        "9a": "the ECG alone: " + ", ".join(manifest.ecg.leads),
        "9b": facts.input_words,
        "11": facts.skipped,
        "12a": facts.split_counts,
        "12b": "as samples of the prepared ECG, see 7",
        "12c": built,
        "18e": again,
        "18f": f"echo2ecg, version {manifest.code_version}",
        "20a": facts.split_counts,
        "22": f"in the bundle, hashed: {', '.join(sorted(manifest.files))}",
        "26": unreal if facts.trained_on_simulation else None,
    }


def _of_the_evaluation(facts: BundleFacts) -> dict[str, str | None]:
    report = facts.report
    if report is None:
        return {}
    probe = report.linear_probe
    thresholds = [
        f"{found.in_words()} above {found.own_point.threshold:.3f}"
        for found in report.overall_decisions
        if found.own_point is not None and found.question not in facts.untold
    ]
    thresholds += [
        f"{coded(found.label)} above {found.yes_no.threshold:.3f}"
        for found in report.own
        if found.yes_no is not None and found.label not in facts.untold_own
    ]
    if not thresholds and probe.shd is not None and "SHD" not in facts.untold:
        thresholds = [f"SHD above {probe.shd.threshold:.3f}"]
    outputs = ["a probability for each question"]
    if thresholds:
        outputs.append(f"positive: {', '.join(thresholds)}")
    if untold := [*sorted(facts.untold), *map(coded, facts.untold_own)]:
        outputs.append(f"no yes or no, because the limit rules nothing out: {', '.join(untold)}")
    groups = facts.group_sentence()
    counts = _group_counts(facts)
    sites = [found for found in report.overall_subgroups if found.column in ("site", "device")]
    measured = report.headline() | report.own_headline(coded)
    scores = "; ".join(f"{name}: {estimate}" for name, estimate in measured.items())
    measures, events = _measures(report), _events(report)
    same = f"other patients of {facts.own_cohort}; not tested on another source" if facts.own_report else None
    return {
        "12e": f"{', '.join(measures)}; 95 % intervals by bootstrap over patients" if measures else None,
        "12g": f"by the bundle itself, on {facts.measured_on}: {facts.tested_apart}",
        "14": None
        if groups is None
        else "scores are measured by group, see 23a; whether anything was done about differences, it does not say",
        "15": "; ".join(outputs) if len(outputs) > 1 else None,
        "16": same,
        "20b": counts,
        "21": f"{facts.measured_on}; {', '.join(events)}" if events else None,
        "23a": "; ".join(part for part in (scores, groups) if part) or None,
        "23b": "; ".join(
            f"{s.question}, {s.column} {s.group}: {s.scores.auroc if s.scores else 'not measured'}" for s in sites
        )
        or None,
    }


def _events(report: EvaluationReport) -> list[str]:
    """ECGs of known answer by question, and how many of them have it."""
    probe = report.linear_probe
    asked = [(f"LVEF {report.lvef_lowest_class_range}", probe.lvef_lowest_class), ("SHD", probe.shd)]
    asked += [(coded(found.label), found.yes_no) for found in report.own]
    events = [f"{name}: {scores.positives} of {scores.n} ECGs" for name, scores in asked if scores is not None]
    return events + [f"{coded(found.label)}: {found.number.n} ECGs" for found in report.own if found.number is not None]


def _measures(report: EvaluationReport) -> list[str]:
    """Of what was measured."""
    probe, decisions, own = report.linear_probe, report.decisions, report.own
    found = {
        "AUROC, AUPRC, F1, balanced accuracy, Brier score, reliability": [
            scores for scores in (probe.lvef_lowest_class, probe.shd, *(one.yes_no for one in own)) if scores
        ],
        "R2, mean absolute error": [one for one in own if one.number],
        "mean absolute error of LVEF": report.lvef_error,
        "sensitivity, specificity and predictive values": [one for one in decisions if one.operating_points],
        "net benefit": [one for one in decisions if one.net_benefit],
        "calibration slope and intercept": [one for one in decisions if one.calibration],
        "precision@10 and lift of retrieval": report.retrieval,
    }
    return [words for words, measured in found.items() if measured]


def _group_counts(facts: BundleFacts) -> str | None:
    """ECGs of known SHD by sex and age band."""
    groups = () if facts.report is None else facts.report.overall_subgroups
    told = [f"{g.column} {g.group}: {g.n} ECGs of {g.patients} patients" for g in groups if g.question == "SHD"]
    return "; ".join(told) or None


def _cell(text: str) -> str:
    """On one line, its bars escaped: a table is cut into cells before code is looked for."""
    return _BAR.sub(lambda bar: 2 * bar[1] + r"\|", " ".join(text.split()))


_BAR = re.compile(r"(\\*)\|")
