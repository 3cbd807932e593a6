"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer


def device_name(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise typer.BadParameter("use auto, cpu, cuda or cuda:N")
    return name


BundleOption = Annotated[Path, typer.Option("--bundle", help="Model bundle folder.", exists=True, file_okay=False)]
CohortOption = Annotated[Path, typer.Option("--cohort", help="Cohort folder.", exists=True, file_okay=False)]
IndexOption = Annotated[Path, typer.Option("--index", help="Index folder.", file_okay=False)]
DeviceOption = Annotated[str, typer.Option("--device", callback=device_name, help="auto, cpu, cuda or cuda:N.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Reader processes.")]
