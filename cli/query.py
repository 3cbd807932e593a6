"""Send an ECG to a running service and show the answer as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import JustifyMethod
from rich.table import Table

from cli.console import out
from ground.errors import Refusal

TIMEOUT_S = 60.0


class QueryRefused(Refusal):
    """The service answered with a problem; the sentence is the service's own."""


def ask(
    url: str, files: Sequence[Path], parameters: Mapping[str, str | int | float], *, key: str | None = None
) -> dict[str, Any]:
    """POST one ECG (all its files) to `/v1/search`. Raises QueryRefused with the service's sentence."""
    headers = {"X-API-Key": key} if key else {}
    parts = [("files", (path.name, path.read_bytes(), "application/octet-stream")) for path in files]
    response = httpx.post(
        f"{url.rstrip('/')}/v1/search", files=parts, params=dict(parameters), headers=headers, timeout=TIMEOUT_S
    )
    if response.is_error:
        raise QueryRefused("query_refused", _sentence(response))
    answer: dict[str, Any] = response.json()
    return answer


def _sentence(response: httpx.Response) -> str:
    if "json" not in response.headers.get("content-type", ""):
        return f"The service answered {response.status_code}."
    problem = response.json()
    return " ".join(str(problem[part]) for part in ("detail", "hint") if problem.get(part))


def print_answer(answer: Mapping[str, Any]) -> None:
    """The answer of `/v1/search` as a person wants to read it."""
    ecg = answer["ecg"]
    out.print(
        f"\n[bold]ECG[/bold] {ecg['format']}, {ecg['rate_hz']:g} Hz, {ecg['duration_s']:.1f} s, "
        f"{len(ecg['leads'])} leads, resampled to {ecg['resampled_to_hz']:g} Hz"
    )
    for warning in answer["warnings"]:
        out.print(f"  note: {warning['message']}", markup=False)
    if "predictions" in answer:  # absent when the bundle has no probes
        out.print(_predictions_table(answer["predictions"]))
        for sentence in _how_sure(answer["predictions"]):
            out.print(sentence, markup=False)
    out.print(_neighbours_table(answer["neighbours"]))
    timing = ", ".join(f"{stage} {milliseconds:.0f}" for stage, milliseconds in answer["timing_ms"].items())
    out.print(f"bundle {answer['bundle']} · generation {answer['generation']} · {answer['device']}", markup=False)
    out.print(f"milliseconds: {timing}", markup=False)
    out.print(answer["disclaimer"], style="italic", markup=False)


def _predictions_table(predictions: Mapping[str, Any]) -> Table:
    table = Table(title="Predictions", title_justify="left")
    table.add_column("Question")
    table.add_column("Answer")
    table.add_column("Probability", justify="right")
    lvef = predictions["lvef"]
    for row in lvef["classes"]:
        chosen = "predicted" if row["label"] == lvef["predicted"] else ""
        table.add_row(f"LVEF {row['range']} ({row['label']})", chosen, f"{row['probability']:.2f}")
    shd = predictions["shd"]
    answer = f"{'positive' if shd['positive'] else 'negative'} (threshold {shd['threshold']:.2f})"
    table.add_row("Structural heart disease", answer, f"{shd['probability']:.2f}")
    for row in shd.get("flags", ()):
        answer = f"{'positive' if row['positive'] else 'negative'} (threshold {row['threshold']:.2f})"
        table.add_row(f"  {row['flag']}", answer, f"{row['probability']:.2f}")
    return table


def _how_sure(predictions: Mapping[str, Any]) -> Iterator[str]:
    """Prediction sets and how unusual the ECG is, of a bundle that has them."""
    for question, said in (("LVEF", predictions["lvef"]), ("Structural heart disease", predictions["shd"])):
        if "prediction_set" in said:
            yield (
                f"{question}: {' or '.join(said['prediction_set'])} (sets like this hold the truth for "
                f"{said['coverage']:.0%} of patients; measured on {said['n_calibration']})"
            )
    if "ood" in predictions:
        yield f"More unusual than {predictions['ood']['percentile']:.1f} % of held-out ECGs like those of training"


def _neighbours_table(neighbours: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Most similar echo studies", title_justify="left")
    for name in ("#", "Study", "Similarity", "LVEF %", "SHD", "Age", "Sex", "Date", "Views (pool weight)"):
        justify: JustifyMethod = "right" if name in ("#", "Similarity", "LVEF %", "Age") else "left"
        table.add_column(name, justify=justify, no_wrap=name in ("Study", "Date"))
    for hit in neighbours:
        heaviest = sorted(hit["views"], key=lambda view: -view["pool_weight"])[:2]
        views = ", ".join(f"{view['view'] or view['view_id']} {view['pool_weight']:.2f}" for view in heaviest)
        table.add_row(
            str(hit["rank"]),
            hit["study_id"],
            f"{hit['similarity']:.3f}",
            _known(hit["lvef_percent"], "{:.0f}"),
            {True: "yes", False: "no", None: "unknown"}[hit["shd"]],
            _known(hit["age"], "{:.0f}"),
            hit["sex"] or "-",
            (hit["acquired_at"] or "-")[:10],
            f"{hit['n_views']}: {views}",
        )
    return table


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
