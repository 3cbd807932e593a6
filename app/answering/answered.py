"""From an `Answer` and from study cards to the report that is sent (`outputs.report`): every number rounded once, here.

A field that the bundle cannot fill is left unset, and so not written: never null, never a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from app.answering.pipeline import Answer
from app.refusals import NoProbes
from index.catalogue.cards import CataloguedView, StudyCard
from index.generation import Generation
from inputs.records import InputWarning
from models.bundle import FlagVerdict, PredictionSet, Unusual, YesNoVerdict
from models.labels import SHD_ANSWERS
from models.ood import UNUSUAL_PERCENTILE
from outputs.report import (
    AnswerWarning,
    EcgSummary,
    EmbedAnswer,
    FlagPrediction,
    LvefClass,
    LvefPrediction,
    Neighbour,
    OodPrediction,
    PredictAnswer,
    Predictions,
    SearchAnswer,
    ShdPrediction,
    Study,
    StudyDetail,
    View,
)
from outputs.words import DISCLAIMER, flag_words, unusual_words


def search_answer(answer: Answer, request_id: str) -> SearchAnswer:
    report = SearchAnswer(
        **_common(answer, request_id),
        generation=answer.snapshot.searchable.id,
        neighbours=[
            _neighbour(rank, card, float(similarity))
            for rank, (card, similarity) in enumerate(
                zip(answer.cards, answer.found.similarity_K, strict=True), start=1
            )
        ],
    )
    if (predictions := _predictions(answer)) is not None:
        report.predictions = predictions  # set, and therefore written
    return report


def predict_answer(answer: Answer, request_id: str) -> PredictAnswer:
    """Raises NoProbes."""
    predictions = _predictions(answer)
    if predictions is None:
        raise NoProbes
    return PredictAnswer(**_common(answer, request_id), predictions=predictions)


def embed_answer(answer: Answer, request_id: str) -> EmbedAnswer:
    verdict = answer.found.verdict
    return EmbedAnswer(
        **_common(answer, request_id),
        features=verdict.features_F.tolist(),
        embedding=verdict.embedding_D.tolist(),
    )


def study_detail(card: StudyCard, generation: Generation) -> StudyDetail:
    return StudyDetail(
        **_study(card),
        lvedv_ml=card.lvedv_ml,
        lvesv_ml=card.lvesv_ml,
        flags=dict(card.flags),
        n_views=len(card.views),
        views=_views(card),
        generation=generation.id,
        disclaimer=DISCLAIMER,
    )


def _common(answer: Answer, request_id: str) -> dict[str, Any]:
    ecg, embedder = answer.ecg, answer.snapshot.embedder
    return {
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
        ),
        "warnings": [_warning(warning) for warning in (*ecg.warnings, *_unusual(answer.found.verdict.unusual))],
        "timing_ms": answer.timing_ms,
        "disclaimer": DISCLAIMER,
    }


def _warning(warning: InputWarning) -> AnswerWarning:
    return AnswerWarning(code=warning.code, message=warning.message, leads=list(warning.leads))


def _unusual(unusual: Unusual | None) -> tuple[InputWarning, ...]:
    """One warning, or none."""
    if unusual is None or unusual.percentile <= UNUSUAL_PERCENTILE:
        return ()
    return (InputWarning("unusual_ecg", unusual_words(unusual.percentile)),)


def _predictions(answer: Answer) -> Predictions | None:
    """None where the bundle has no probes."""
    verdict, classes = answer.found.verdict, answer.snapshot.embedder.lvef
    if verdict.lvef is None or verdict.shd is None:
        return None
    lvef = LvefPrediction(
        classes=[
            LvefClass(label=label, range=text, probability=_rounded(probability))
            for label, text, probability in zip(classes.labels, classes.ranges, verdict.lvef.probability_C, strict=True)
        ],
        predicted=classes.labels[verdict.lvef.called],
        **_set(verdict.lvef.prediction_set, classes.labels),
    )
    shd = ShdPrediction(**_decision(verdict.shd), **_set(verdict.shd.prediction_set, SHD_ANSWERS))
    if verdict.flags:
        shd.flags = [
            FlagPrediction(flag=flag, words=flag_words(flag), **_flag_decision(one))
            for flag, one in verdict.flags.items()
        ]
    predictions = Predictions(lvef=lvef, shd=shd)
    if verdict.not_predicted:
        predictions.not_predicted = list(verdict.not_predicted)
    if verdict.unusual is not None:
        score, percentile = round(verdict.unusual.score, 4), round(verdict.unusual.percentile, 2)
        predictions.ood = OodPrediction(score=score, percentile=percentile)
    return predictions


def _decision(verdict: YesNoVerdict) -> dict[str, Any]:
    probability = _rounded(verdict.probability)
    return {"probability": probability, "threshold": verdict.threshold, "positive": verdict.positive}


def _flag_decision(verdict: FlagVerdict) -> dict[str, Any]:
    """A flag without a threshold is positive when it is raised; where none ever is, from a probability of 1."""
    threshold = verdict.threshold if verdict.threshold is not None else verdict.raised_from
    return {
        "probability": _rounded(verdict.probability),
        "threshold": 1.0 if threshold is None else threshold,
        "positive": verdict.positive,
    }


def _set(prediction_set: PredictionSet | None, labels: Sequence[str]) -> dict[str, Any]:
    if prediction_set is None:
        return {}
    return {
        "prediction_set": [labels[number] for number in prediction_set.classes],
        "coverage": prediction_set.coverage,
        "n_calibration": prediction_set.n_calibration,
    }


def _rounded(probability: float) -> float:
    return round(float(probability), 6)


def _study(card: StudyCard) -> dict[str, Any]:
    return {name: getattr(card, name) for name in Study.model_fields}


def _neighbour(rank: int, card: StudyCard, similarity: float) -> Neighbour:
    return Neighbour(
        **_study(card), rank=rank, similarity=round(similarity, 6), n_views=len(card.views), views=_views(card)
    )


def _views(card: StudyCard) -> list[View]:
    return [_view(card.study_id, view) for view in card.views]


def _view(study_id: str, view: CataloguedView) -> View:
    place = f"/v1/studies/{quote(study_id, safe='')}/views/{quote(view.view_id, safe='')}/thumbnail"
    return View(view_id=view.view_id, view=view.view, pool_weight=round(view.pool_weight, 6), thumbnail_url=place)
