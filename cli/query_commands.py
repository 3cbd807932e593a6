"""The command that asks a running service about one ECG. It imports what it needs only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.console import out
from cli.options import ExamOption, LeadsOption, LengthOption, RateOption, StartOption, UnitOption
from index.catalogue.filters import AGE_YEARS, LVEF_PERCENT, MAX_VIEW_LETTERS, FilterRefused, moment


def _moment(text: str | None) -> str | None:
    """As the service reads it; what it cannot read is wrong usage here."""
    if text is not None:
        try:
            moment(text)
        except FilterRefused as refusal:
            raise typer.BadParameter(refusal.sentence) from None
    return text


def _view_name(view: str | None) -> str | None:
    if view is not None and not (1 <= len(view.strip()) <= MAX_VIEW_LETTERS and view.isprintable()):
        raise typer.BadParameter(f"at most {MAX_VIEW_LETTERS} printable letters are wanted")
    return view


def query(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False)],
    url: Annotated[str, typer.Option(help="Where the service is.")] = "http://127.0.0.1:8000",
    k: Annotated[int, typer.Option(min=1, max=100, help="How many studies.")] = 10,
    key: Annotated[str | None, typer.Option(envvar="ECHO2ECG_API_KEY", help="API key.")] = None,
    exclude_patient: Annotated[str | None, typer.Option(help="Leave this patient's studies out.")] = None,
    one_per_patient: Annotated[
        bool, typer.Option("--one-per-patient", help="Of each patient the most similar study alone.")
    ] = False,
    lvef_min: Annotated[
        float | None, typer.Option(min=LVEF_PERCENT[0], max=LVEF_PERCENT[1], help="Only studies of this LVEF or more.")
    ] = None,
    lvef_max: Annotated[
        float | None, typer.Option(min=LVEF_PERCENT[0], max=LVEF_PERCENT[1], help="Only studies of this LVEF or less.")
    ] = None,
    age_min: Annotated[
        float | None, typer.Option(min=AGE_YEARS[0], max=AGE_YEARS[1], help="Only studies at this age or later.")
    ] = None,
    age_max: Annotated[
        float | None, typer.Option(min=AGE_YEARS[0], max=AGE_YEARS[1], help="Only studies at this age or earlier.")
    ] = None,
    sex: Annotated[
        Literal["F", "M", "female", "male"] | None,
        typer.Option(case_sensitive=False, help="Only studies of women or of men."),
    ] = None,
    acquired_after: Annotated[
        str | None, typer.Option(callback=_moment, help="Only studies of this day or time and later: 2020-01-31.")
    ] = None,
    acquired_before: Annotated[
        str | None, typer.Option(callback=_moment, help="Only studies of this day or time and earlier.")
    ] = None,
    view: Annotated[
        str | None, typer.Option(callback=_view_name, help="Only studies that have this view, such as A4C.")
    ] = None,
    shd: Annotated[
        bool | None, typer.Option("--shd/--no-shd", help="Only studies with structural heart disease, or without.")
    ] = None,
    rate_hz: RateOption = None,
    unit: UnitOption = None,
    leads: LeadsOption = None,
    exam: ExamOption = None,
    start_s: StartOption = None,
    length_s: LengthOption = None,
    device_said: Annotated[
        bool, typer.Option("--device-said", help="Also what the device wrote beside the signal.")
    ] = False,
    quality: Annotated[
        Literal["withhold", "report"],
        typer.Option(
            help="Where the ECG's quality forbids an answer: none, or one all the same, with the reasons. "
            "The exit code is 0 in both cases: `withheld` in --json tells."
        ),
    ] = "withhold",
    as_json: Annotated[bool, typer.Option("--json", help="The service's answer as it is.")] = False,
) -> None:
    """Send an ECG to a running service and show the answer.

    A study of which something is unknown matches no filter that asks for it.
    """
    from cli.query import ask, print_answer

    parameters: dict[str, str | int | float | bool | None] = {"k": k, "exclude_patient": exclude_patient}
    parameters |= {"lvef_min": lvef_min, "lvef_max": lvef_max, "age_min": age_min, "age_max": age_max, "sex": sex}
    parameters |= {"acquired_after": acquired_after, "acquired_before": acquired_before, "view": view, "shd": shd}
    parameters |= {"rate_hz": rate_hz, "unit": unit, "leads": leads, "exam": exam}
    parameters |= {"start_s": start_s, "length_s": length_s}
    parameters |= {"one_per_patient": one_per_patient or None, "device_said": device_said or None}
    parameters["quality"] = quality if quality != "withhold" else None
    answer = ask(url, files, {name: value for name, value in parameters.items() if value is not None}, key=key)
    if as_json:
        out.print_json(data=answer)
    else:
        print_answer(answer, said_asked=device_said)
