"""From an `Answer` and from study cards to the report that is sent (`outputs.report`): every number rounded once, here.

A field that the bundle cannot fill is left unset, and so not written: never null, never a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from app.answering.agreement import LVEF_DIGITS, contradictions
from app.answering.alike import neighbour_summary, one_of_each_patient
from app.answering.lane import Found
from app.answering.pipeline import Answer, Narrowed
from app.answering.similar import Similar
from app.refusals import NoProbes
from ground.findings import MEASUREMENTS
from index.catalogue.cards import CataloguedView, StudyCard
from index.generation import Generation
from inputs.ecg.measured.measure import MeasuredEcg as Measured
from inputs.records import DeviceSaid as Said
from inputs.records import InputWarning
from models.bundle import (
    Embedder,
    FlagVerdict,
    LvefVerdict,
    NumberVerdict,
    PointVerdict,
    PredictionSet,
    Unusual,
    YesNoVerdict,
)
from models.bundle import LvefEstimate as LvefNumber
from models.labels import SHD_ANSWERS, LvefClasses
from models.ood import UNUSUAL_PERCENTILE
from outputs.narrowed import AppliedFilters, SearchFilters
from outputs.report import (
    AnswerWarning,
    DeviceMeasures,
    DeviceSaid,
    EcgSummary,
    EmbedAnswer,
    FlagPrediction,
    LeadQuality,
    LvefClass,
    LvefEstimate,
    LvefPrediction,
    MeasuredEcg,
    OodPrediction,
    OperatingPoint,
    OwnPrediction,
    PredictAnswer,
    Predictions,
    SearchAnswer,
    SeenWindow,
    ShdPrediction,
)
from outputs.study import Neighbour, SimilarAnswer, Study, StudyDetail, View
from outputs.words import DISCLAIMER, flag_words, unusual_words, what_to_do

_ABOUT_LVEF = {"lvef_min", "lvef_max", "shd"}
"""Filters that decide what LVEF a study has, SHD among them: an LVEF of 45 % or less is one of its flags."""

_FIGURES = 12
"""Of a number of the user's own: three of what varies least beside its size (`cohorts.own_labels`)."""

VIEW_DIGITS = 4
"""Of the similarity of one view: its vector is kept in half precision."""


def search_answer(answer: Answer, request_id: str) -> SearchAnswer:
    report = SearchAnswer(
        **_common(answer, request_id),
        generation=answer.snapshot.searchable.id,
        **_measured(answer.ecg.measured),
        **_of_the_model(answer),
    )
    if answer.snapshot.searchable.manifest.build.get("simulated"):
        report.studies_simulated = True  # set, and therefore written
    if answer.search.narrowed is not None:
        report.filters = _filters(answer.search.narrowed)  # set, and therefore written
    if answer.found is None:
        return report
    report.neighbours = _neighbours(answer.found, answer.studies.cards, answer.studies.view_similarities)
    report.warnings += _contradictions(answer, answer.found)
    if (summary := neighbour_summary(answer.studies.cards, answer.snapshot.searchable.usual)) is not None:
        report.neighbour_summary = summary
    if (predictions := _predictions(answer.found, answer.snapshot.embedder)) is not None:
        report.predictions = predictions  # set, and therefore written
    report.timing_ms = answer.timing_ms  # the studies' included
    return report


def predict_answer(answer: Answer, request_id: str) -> PredictAnswer:
    """Raises NoProbes."""
    measured = _measured(answer.ecg.measured)
    report = PredictAnswer(**_common(answer, request_id), **measured, **_of_the_model(answer))
    if answer.found is None:
        return report
    report.predictions = _predictions(answer.found, answer.snapshot.embedder)
    if report.predictions is None:
        raise NoProbes
    report.warnings += _contradictions(answer, answer.found)
    return report


def embed_answer(answer: Answer, request_id: str) -> EmbedAnswer:
    """Of an answer that was not withheld: vectors never are."""
    assert answer.found is not None
    verdict = answer.found.verdict
    report = EmbedAnswer(**_common(answer, request_id), features=verdict.features_F.tolist())
    if verdict.embedding_D is not None:
        report.embedding = verdict.embedding_D.tolist()
    return report


def similar_answer(similar: Similar) -> SimilarAnswer:
    """Without percentiles: they say where a study lies in an ECG's order of the index."""
    return SimilarAnswer(
        study_id=similar.study.study_id,
        bundle=similar.snapshot.embedder.id,
        generation=similar.snapshot.searchable.id,
        neighbours=_neighbours(replace(similar.found, percentile_K=None), similar.cards),
        disclaimer=DISCLAIMER,
    )


def study_detail(card: StudyCard, generation: Generation) -> StudyDetail:
    return StudyDetail(
        **_study(card),
        lvedv_ml=card.lvedv_ml,
        lvesv_ml=card.lvesv_ml,
        flags=dict(card.flags),
        measurements={name: card.measurements.get(name) for name in MEASUREMENTS},
        n_views=len(card.views),
        views=_views(card),
        generation=generation.id,
        disclaimer=DISCLAIMER,
    )


def _filters(narrowed: Narrowed) -> SearchFilters:
    asked = narrowed.filters.asked | ({"one_per_patient": True} if narrowed.one_per_patient else {})
    said = {name: value.isoformat() if isinstance(value, date) else value for name, value in asked.items()}
    return SearchFilters(applied=AppliedFilters.model_validate(said), studies=narrowed.studies)


def _common(answer: Answer, request_id: str) -> dict[str, Any]:
    ecg, embedder = answer.ecg, answer.snapshot.embedder
    unusual = None if answer.found is None else answer.found.verdict.unusual
    unusual_ones = _unusual(unusual, simulated=embedder.trained_on is not None)
    withheld = {"withheld": list(ecg.withheld)} if ecg.withheld else {}
    return withheld | {
        "request_id": request_id,
        "bundle": embedder.id,
        "device": embedder.device_name,
        "ecg": EcgSummary(
            format=ecg.source_format,
            rate_hz=ecg.rate_hz,
            duration_s=round(ecg.duration_s, 3),
            leads=list(ecg.lead_names),
            resampled_to_hz=embedder.ecg.rate_hz,
            sha256=answer.sha256,
            windows=[SeenWindow(start_s=round(at, 3), length_s=round(ecg.window_s, 3)) for at in ecg.starts_s_W],
            lead_quality=[LeadQuality(lead=one.lead, codes=list(one.codes)) for one in ecg.lead_quality],
            **_device_said(ecg.said),
        ),
        "warnings": [_warning(warning) for warning in (*ecg.warnings, *answer.search.warnings, *unusual_ones)],
        "timing_ms": answer.timing_ms,
        "disclaimer": DISCLAIMER,
    }


def _measured(found: Measured | None) -> dict[str, Any]:
    """Milliseconds, beats and degrees as whole numbers: no tracing tells more."""
    return {} if found is None else {"measured": MeasuredEcg(**_known(found, digits=None))}


def _device_said(said: Said | None) -> dict[str, Any]:
    """Every member that the device wrote; an empty one where it wrote nothing and the format has a place for it."""
    if said is None:
        return {}
    found: dict[str, Any] = {name: value for name, value in asdict(said).items() if value not in (None, ())}
    if said.measures:
        found["measures"] = DeviceMeasures(**{name: round(value, 1) for name, value in said.measures})
    return {"device_said": DeviceSaid(**found)}


def _warning(warning: InputWarning) -> AnswerWarning:
    leads, helps = list(warning.leads), what_to_do(warning.code)
    hint = {"hint": helps} if helps else {}
    return AnswerWarning(code=warning.code, message=warning.message, leads=leads, severity=warning.severity, **hint)


def _contradictions(answer: Answer, found: Found) -> list[AnswerWarning]:
    near_K = [card.lvef_percent for card in one_of_each_patient(answer.studies.cards)]
    narrowed = answer.search.narrowed
    if narrowed is not None and narrowed.filters.asked.keys() & _ABOUT_LVEF:
        near_K = []  # chosen by what they would be asked about
    contrary = contradictions(found.verdict.lvef, answer.snapshot.embedder.lvef, near_K)
    return [_warning(warning) for warning in contrary]


def _of_the_model(answer: Answer) -> dict[str, Any]:
    embedder = answer.snapshot.embedder
    lacks = {"bundle_lacks": list(embedder.lacking)} if embedder.lacking else {}
    return lacks if embedder.trained_on is None else {"trained_on": embedder.trained_on, **lacks}


def _unusual(unusual: Unusual | None, *, simulated: bool) -> tuple[InputWarning, ...]:
    """One warning, or none. simulated: whether the held-out ECGs are."""
    if unusual is None or unusual.percentile <= UNUSUAL_PERCENTILE:
        return ()
    return (InputWarning("unusual_ecg", unusual_words(unusual.percentile, simulated=simulated)),)


def _predictions(found: Found, embedder: Embedder) -> Predictions | None:
    """None where the bundle has no probes."""
    verdict = found.verdict
    if verdict.lvef is None and verdict.shd is None and not verdict.flags and not verdict.own:
        return None
    predictions = Predictions()
    if verdict.lvef is not None:
        predictions.lvef = _lvef(verdict.lvef, embedder.lvef)  # set, and therefore written
    flags = [_flag(flag, one) for flag, one in verdict.flags.items()]
    if verdict.shd is not None:
        predictions.shd = _shd(verdict.shd, flags)
    elif flags:
        predictions.flags = flags
    if verdict.own:
        predictions.own = [_own(label, one) for label, one in verdict.own.items()]
    if verdict.not_predicted:
        predictions.not_predicted = list(verdict.not_predicted)
    if verdict.unusual is not None:
        score, percentile = round(verdict.unusual.score, 4), round(verdict.unusual.percentile, 2)
        predictions.ood = OodPrediction(score=score, percentile=percentile)
    return predictions


def _shd(verdict: YesNoVerdict, flags: list[FlagPrediction]) -> ShdPrediction:
    shd = ShdPrediction(
        probability=_rounded(verdict.probability),
        threshold=verdict.threshold,
        **_positive(verdict),
        **_point(verdict.operating_point),
        **_sets(verdict.per_class_set, verdict.prediction_set, SHD_ANSWERS),
    )
    if verdict.base_rate is not None:
        shd.base_rate = _rounded(verdict.base_rate)
    if flags:
        shd.flags = flags
    return shd


def _own(label: str, verdict: YesNoVerdict | NumberVerdict) -> OwnPrediction:
    if isinstance(verdict, NumberVerdict):
        found: dict[str, Any] = {name: value for name, value in asdict(verdict).items() if value is not None}
        # Figures and not decimals: the unit is the user's.
        found |= {name: float(f"{found[name]:.{_FIGURES}g}") for name in ("value", "low", "high") if name in found}
        return OwnPrediction(label=label, **found)
    point = verdict.operating_point
    own = OwnPrediction(
        label=label,
        probability=_rounded(verdict.probability),
        **_positive(verdict),
        # What tells a label of the user's own need be no echocardiogram.
        **_point(None if point is None else replace(point, echos_per_case=None)),
        **_sets(verdict.per_class_set, verdict.prediction_set, SHD_ANSWERS),
    )
    if verdict.base_rate is not None:
        own.base_rate = _rounded(verdict.base_rate)
    return own


def _lvef(verdict: LvefVerdict, classes: LvefClasses) -> LvefPrediction:
    lvef = LvefPrediction(
        classes=[
            LvefClass(label=label, range=text, probability=_rounded(probability))
            for label, text, probability in zip(classes.labels, classes.ranges, verdict.probability_C, strict=True)
        ],
        predicted=classes.labels[verdict.called],
        **_point(verdict.operating_point),
        **_sets(verdict.per_class_set, verdict.prediction_set, classes.labels),
    )
    if verdict.base_rate_C is not None:
        for one, base_rate in zip(lvef.classes, verdict.base_rate_C, strict=True):
            one.base_rate = _rounded(base_rate)  # set, and therefore written
    if verdict.positive is not None:
        lvef.positive = verdict.positive
    if verdict.estimate is not None:
        lvef.estimate = LvefEstimate(**_known(verdict.estimate, digits=LVEF_DIGITS))
    return lvef


def _flag(flag: str, verdict: FlagVerdict) -> FlagPrediction:
    """Without the yes or no of a bundle from before there were rules: its threshold took 3 % for a finding."""
    said = FlagPrediction(flag=flag, words=flag_words(flag), probability=_rounded(verdict.probability))
    if verdict.base_rate is not None:
        said.base_rate = _rounded(verdict.base_rate)
    if verdict.finding is not None:
        said.finding = verdict.finding
    if verdict.bound is not None:
        said.bound = verdict.bound
    if verdict.raised_ppv is not None and verdict.raised_sensitivity is not None:
        said.raised_ppv, said.raised_sensitivity = _rounded(verdict.raised_ppv), _rounded(verdict.raised_sensitivity)
    return said


def _positive(verdict: YesNoVerdict) -> dict[str, Any]:
    return {} if verdict.positive is None else {"positive": verdict.positive}


def _point(point: PointVerdict | None) -> dict[str, Any]:
    return {} if point is None else {"operating_point": OperatingPoint(**_known(point, digits=6))}


def _known(said: PointVerdict | LvefNumber | Measured, digits: int | None) -> dict[str, Any]:
    """The fields that have a value, rounded; without digits to whole numbers."""
    values = {name: value for name, value in asdict(said).items() if value is not None}
    return {name: round(value, digits) if isinstance(value, float) else value for name, value in values.items()}


def _sets(per_class: PredictionSet | None, overall: PredictionSet | None, labels: Sequence[str]) -> dict[str, Any]:
    """The set per class where there is one, with the overall one beside it."""
    said = per_class or overall
    if said is None:
        return {}
    found: dict[str, Any] = {
        "prediction_set": [labels[number] for number in said.classes],
        "coverage": said.coverage,
        "coverage_kind": said.coverage_kind,
        "n_calibration": said.n_calibration,
    }
    if said.falls_back:
        found["overall_only"] = [labels[number] for number in said.falls_back]
    if per_class is not None and overall is not None:
        found["overall_set"] = [labels[number] for number in overall.classes]
    return found


def _rounded(probability: float) -> float:
    return round(float(probability), 6)


def _study(card: StudyCard) -> dict[str, Any]:
    return {name: getattr(card, name) for name in Study.model_fields}


def _neighbours(
    found: Found, cards: Sequence[StudyCard], view_similarities: Sequence[NDArray[np.float32]] = ()
) -> list[Neighbour]:
    neighbours = [
        Neighbour(
            **_study(card),
            rank=rank,
            similarity=round(float(similarity), 6),
            n_views=len(card.views),
            views=_views(card),
        )
        for rank, (card, similarity) in enumerate(zip(cards, found.similarity_K, strict=True), start=1)
    ]
    if found.percentile_K is not None:
        for neighbour, percentile in zip(neighbours, found.percentile_K, strict=True):
            neighbour.percentile = round(float(percentile), 2)  # set, and therefore written
    if view_similarities:
        for neighbour, similarity_V in zip(neighbours, view_similarities, strict=True):
            for view, similarity in zip(neighbour.views, similarity_V, strict=True):
                view.similarity = round(float(similarity), VIEW_DIGITS)
    return neighbours


def _views(card: StudyCard) -> list[View]:
    return [_view(card.study_id, view) for view in card.views]


def _view(study_id: str, view: CataloguedView) -> View:
    address = f"/v1/studies/{quote(study_id, safe='')}/views/{quote(view.view_id, safe='')}"
    shown = {"thumbnail_url": f"{address}/thumbnail"} if view.has_thumbnail else {"made_of": "vector"}
    if view.has_cine:
        shown["cine_url"] = f"{address}/cine"
    return View.model_validate(
        {"view_id": view.view_id, "view": view.view, "pool_weight": round(view.pool_weight, 6), **shown}
    )
