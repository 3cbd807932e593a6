"""Send an ECG to a running service and show the answer as tables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError
from rich.console import JustifyMethod
from rich.table import Table

from cli.advice import in_options
from cli.console import led_by, out
from ground.errors import Refusal
from inputs.ecg.read import gather_files
from inputs.errors import InputError
from inputs.records import UploadedFile
from outputs import sentences, words
from outputs.narrowed import filters_sentence
from outputs.report import FlagPrediction, NeighbourSummary, Predictions, SearchAnswer
from outputs.study import Neighbour

TIMEOUT_S = 60.0


class QueryRefused(Refusal):
    """The service answered with a problem; the sentence is the service's own."""


def ask(
    url: str, files: Sequence[Path], parameters: Mapping[str, str | int | float | bool], *, key: str | None = None
) -> dict[str, Any]:
    """POST one ECG (all its files) to `/v1/search`. Raises QueryRefused with the service's sentence."""
    headers = {"X-API-Key": key} if key else {}
    parts = [("files", (file.name, file.data, "application/octet-stream")) for file in _uploaded(files)]
    response = httpx.post(
        f"{url.rstrip('/')}/v1/search", files=parts, params=dict(parameters), headers=headers, timeout=TIMEOUT_S
    )
    if response.is_error:
        raise QueryRefused("query_refused", _sentence(response))
    answer = _members(response)
    if answer is None or not response.is_success:
        raise QueryRefused("answer_not_understood", "What answered at that address is not this service.")
    return answer


def _uploaded(paths: Sequence[Path]) -> list[UploadedFile]:
    """What is sent: the files, and with a header alone those that it names beside it, where they are there."""
    if len(paths) == 1 and paths[0].suffix.lower() == ".hea":
        with contextlib.suppress(InputError):  # whatever it is, the service says it
            return gather_files(paths[0])
    return [UploadedFile(path.name, path.read_bytes()) for path in paths]


def _members(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object of a response, None for anything else."""
    try:
        content = response.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _sentence(response: httpx.Response) -> str:
    problem = _members(response) or {}
    said = " ".join(str(problem[part]) for part in ("detail", "hint") if problem.get(part))
    return in_options(said) or f"The service answered {response.status_code}."


def print_answer(answer: Mapping[str, Any], *, said_asked: bool = False) -> None:
    """The answer of `/v1/search` as a person wants to read it. Raises QueryRefused where it is no such answer.

    said_asked: whether what the device said was asked for, so that its absence is told.
    """
    try:
        report = SearchAnswer.model_validate(answer)
    except ValidationError:
        raise QueryRefused(
            "answer_not_understood",
            "The service's answer is not one that this version of the command knows.",
            hint="With --json it is shown as it is.",
        ) from None
    ecg = report.ecg
    recorded = f"{ecg.format}, {ecg.rate_hz:g} Hz, {ecg.duration_s:.1f} s, {len(ecg.leads)} leads"
    out.print()
    out.print(led_by("ECG", f"{recorded}, resampled to {ecg.resampled_to_hz:g} Hz"))
    if report.measured is not None:
        out.print(led_by("Measured", sentences.measured_line(report.measured)))
    _print_said(report, asked=said_asked)
    for warning in report.withheld_for:
        given = report.predictions is not None or report.neighbours is not None
        out.print(
            led_by(
                f"{words.REPORTED if given else words.WITHHELD}.",
                f"{in_options(warning.message)} {words.what_to_do(warning.code)}",
            )
        )
    for warning in report.warnings:
        if warning.severity != "withheld":
            out.print(f"  {warning.severity}: {in_options(warning.message)} {words.what_to_do(warning.code)}".rstrip())
    if report.trained_on and report.predictions is not None:
        out.print(report.trained_on)
    if report.predictions is not None:  # absent when the bundle has no probes
        out.print(_predictions_table(report.predictions))
        for sentence in sentences.how_sure(report.predictions):
            out.print(sentence)
        if report.predictions.ood is not None and not report.says_unusual:
            held_out = words.held_out_words(simulated=report.trained_on is not None)
            percentile = report.predictions.ood.percentile
            out.print(f"More unusual than {percentile:.1f} % of {held_out} like those of training")
    if report.bundle_lacks:
        out.print(words.lacking_sentence(report.bundle_lacks))
    if report.filters is not None:
        out.print(led_by("Filtered", filters_sentence(report.filters)))
    if report.neighbours:  # else the answer is withheld, or a warning says that no study matches
        out.print(_neighbours_table(report.neighbours))
    if report.neighbour_summary is not None:
        out.print(_summary_table(report.neighbour_summary))
    timing = ", ".join(f"{stage} {milliseconds:.0f}" for stage, milliseconds in report.timing_ms.items())
    out.print(f"bundle {report.bundle} · generation {report.generation} · {report.device}")
    out.print(f"milliseconds: {timing}")
    out.print(report.disclaimer, style="italic")


def _print_said(report: SearchAnswer, *, asked: bool) -> None:
    said = report.ecg.device_said
    if said is None or not said.model_fields_set:
        if asked:
            out.print(words.DEVICE_SAID_NOTHING)
        return
    for line in sentences.device_lines(said):
        out.print(f"  {line}")
    rows = sentences.measured_twice(report.measured, said)
    if rows:
        table = Table(caption=words.MEASURED_TWICE_NOTE, caption_justify="left")
        for name in words.MEASURED_TWICE:
            table.add_column(name)
        for row in rows:
            table.add_row(*row)
        out.print(table)


def _predictions_table(predictions: Predictions) -> Table:
    table = Table(title="Predictions", title_justify="left")
    table.add_column("Question")
    table.add_column("Answer")
    table.add_column("Probability", justify="right")
    table.add_column("Base rate", justify="right")
    lvef, shd = predictions.lvef, predictions.shd
    for row in [] if lvef is None else lvef.classes:
        chosen = words.MOST_PROBABLE if lvef is not None and row.label == lvef.predicted else ""
        table.add_row(
            f"{words.lvef_class_words(row.range)} ({row.label})",
            chosen,
            words.chance_words(row.probability),
            _rate(row.base_rate),
        )
    if shd is not None:
        said = sentences.shd_decision(shd), sentences.chance_of(shd), _rate(shd.base_rate)
        table.add_row(words.SHD, *said)
    for flag in predictions.findings:
        probability = "" if flag.finding == "cannot_tell" else words.chance_words(flag.probability, flag.bound)
        table.add_row(f"  {flag.words}", _said_of(flag), probability, _rate(flag.base_rate))
    if lvef is not None or shd is not None or predictions.findings:
        for name in predictions.not_predicted or ():
            table.add_row(f"  {words.flag_words(name)}", words.NO_MODEL, "", "")
    for own in predictions.own or ():
        table.add_row(own.label, sentences.own_words(own), sentences.chance_of(own), _rate(own.base_rate))
    return table


def _said_of(flag: FlagPrediction) -> str:
    """With what it is worth where it is raised."""
    said = words.finding_words(flag.finding)
    worth = flag.finding == "raised" and flag.raised_ppv is not None
    return f"{said} ({words.share_words(flag.raised_ppv)} of those raised have it)" if worth else said


def _rate(base_rate: float | None) -> str:
    return "" if base_rate is None else f"{base_rate:.2f}"


def _neighbours_table(neighbours: Sequence[Neighbour]) -> Table:
    table = Table(title="Most similar echo studies", title_justify="left")
    percentiles = any(hit.percentile is not None for hit in neighbours)
    similarity = ("Similarity", "Percentile") if percentiles else ("Similarity",)
    for name in ("#", "Study", *similarity, "LVEF %", "SHD", "Age", "Sex", "Date", "Views (pool weight)"):
        justify: JustifyMethod = "right" if name in ("#", *similarity, "LVEF %", "Age") else "left"
        table.add_column(name, justify=justify, no_wrap=name in ("Study", "Date"))
    if percentiles:
        table.caption, table.caption_justify = words.PERCENTILE, "left"
    for hit in neighbours:
        views = ", ".join(f"{view.name} {view.pool_weight:.2f}" for view in hit.heaviest_views[:2])
        table.add_row(
            str(hit.rank),
            hit.study_id,
            f"{hit.similarity:.3f}",
            *([_or_dash(hit.percentile, "{:.1f}")] if percentiles else []),
            _or_dash(hit.lvef_percent, "{:.0f}"),
            words.shd_words(hit.shd),
            _or_dash(hit.age, "{:.0f}"),
            hit.sex or "-",
            "-" if hit.acquired_at is None else hit.acquired_at.date().isoformat(),
            f"{hit.n_views}: {views}",
        )
    return table


def _summary_table(summary: NeighbourSummary) -> Table:
    table = Table(title=words.IN_COMMON, title_justify="left")
    table.caption, table.caption_justify = words.counted_words(summary.studies, summary.patients) or None, "left"
    table.add_column("Median (quartiles)")
    for name in ("Most similar", "Known", "Index", "Known"):
        table.add_column(name, justify="right")
    for row in summary.measured:
        near, index = row.neighbours, row.index
        table.add_row(
            f"{row.words}, {row.unit}",
            words.spread_words(near.median, near.low, near.high, near.n),
            str(near.n),
            words.spread_words(index.median, index.low, index.high, index.n),
            str(index.n),
        )
    if (shd := summary.shd) is not None:
        near_share = words.share_of_words(shd.neighbours.share, shd.neighbours.n)
        index_share = words.share_of_words(shd.index.share, shd.index.n)
        table.add_row(words.SHD_SHARE, near_share, str(shd.neighbours.n), index_share, str(shd.index.n))
    return table


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
