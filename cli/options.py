"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from inputs.ecg.readable import UNSTATED


def device_name(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise typer.BadParameter("use auto, cpu, cuda or cuda:N")
    return name


def exam_name(exam: str | None) -> str | None:
    if exam is not None and not (1 <= len(exam) <= 100 and exam.isprintable()):
        raise typer.BadParameter("at most 100 printable letters are wanted")
    return exam


def listed_leads(leads: str | None) -> str | None:
    if leads is not None and not (1 <= len(leads) <= 200 and leads.isprintable()):
        raise typer.BadParameter("names with commas between them are wanted, at most 200 letters")
    return leads


def named_pairs(pairs: list[str] | None, wanted: str) -> dict[str, str]:
    """`a=b` by its name; a name twice or anything else is wrong usage."""
    named: dict[str, str] = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not (name and separator and value):
            raise typer.BadParameter(f"{wanted} is wanted, not {pair!r}")
        if name in named:
            raise typer.BadParameter(f"{name} is given twice")
        named[name] = value
    return named


BundleOption = Annotated[Path, typer.Option("--bundle", help="Model bundle folder.", exists=True, file_okay=False)]
CohortOption = Annotated[Path, typer.Option("--cohort", help="Cohort folder.", exists=True, file_okay=False)]
IndexOption = Annotated[Path, typer.Option("--index", help="Index folder.", file_okay=False)]
DeviceOption = Annotated[str, typer.Option("--device", callback=device_name, help="auto, cpu, cuda or cuda:N.")]
RateOption = Annotated[float | None, typer.Option("--rate-hz", help=f"For {UNSTATED}: samples per second.")]
UnitOption = Annotated[str | None, typer.Option("--unit", help=f"For {UNSTATED}: mV, uV or V.")]
LeadsOption = Annotated[
    str | None,
    typer.Option(
        "--leads", callback=listed_leads, help='For files that name no leads: their names in order, "I,II,III,...".'
    ),
]
ExamOption = Annotated[
    str | None,
    typer.Option("--exam", callback=exam_name, help="Of a file of many ECGs: which, by its id or its place from 0."),
]
StartOption = Annotated[
    float | None, typer.Option("--start-s", min=0, help="Of a long recording: where the stretch begins that is read.")
]
LengthOption = Annotated[
    float | None, typer.Option("--length-s", min=0, max=300, help="How long that stretch is; 10 s unless given.")
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Reader processes.")]
