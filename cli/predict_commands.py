"""The command that answers many ECGs in one table. It imports what it needs only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.console import err, out, progress
from cli.options import (
    BundleOption,
    DeviceOption,
    ExamOption,
    LeadsOption,
    LengthOption,
    RateOption,
    StartOption,
    UnitOption,
    WorkersOption,
)


def predict(
    given: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|FOLDER|CSV...", exists=True, help="ECGs, folders of them, CSVs with their paths in `path`."
        ),
    ],
    bundle: BundleOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write: .csv or .parquet.")],
    index: Annotated[
        Path | None, typer.Option("--index", help="Index folder: the most similar studies too.", file_okay=False)
    ] = None,
    k: Annotated[int, typer.Option(min=1, max=100, help="How many studies, with --index.")] = 10,
    rate_hz: RateOption = None,
    unit: UnitOption = None,
    leads: LeadsOption = None,
    exam: ExamOption = None,
    start_s: StartOption = None,
    length_s: LengthOption = None,
    quality: Annotated[
        Literal["withhold", "report"],
        typer.Option(help="Where an ECG's quality forbids an answer: none, or one all the same, with the reasons."),
    ] = "withhold",
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """A table of answers, one row for each ECG, with the numbers that the service would give.

    A WFDB header and the files that it names are one ECG, and so is a zip of one record. A CSV with a column `path`
    (relative to the CSV) names ECGs; its columns rate_hz, unit, leads, exam, start_s, length_s and id are heeded. What
    cannot be answered has a row that says why. A run that was killed goes on where it ended, and of a table that is
    there only what changed is asked anew.
    """
    from cli.predict import Asked, check_gives, check_output, journal_of, predict_table
    from cli.predict_inputs import HINTS, inputs_of
    from models.device import Machine
    from outputs.words import DISCLAIMER

    check_output(output)
    check_gives(bundle, index)
    values = dict(zip(HINTS, (rate_hz, unit, leads, exam, start_s, length_s), strict=True))
    options = {name: value for name, value in values.items() if value is not None}
    with progress("Looking for ECGs") as report:
        inputs = inputs_of(given, options, output=(output, journal_of(output)), progress=report)
    with progress("Answering", goes_on=True) as report:
        machine = Machine.named(device, workers=workers, progress=report)
        done = predict_table(inputs, bundle, output, machine, Asked(index, k, withhold=quality == "withhold"))
    if done.were_there:
        err.print(f"{done.were_there} rows were there from an earlier run.")
    counted = ", ".join(f"{done.rows[status]} {status}" for status in ("answered", "withheld", "refused", "failed"))
    n = len(inputs)
    out.print(f"{n} {'ECG' if n == 1 else 'ECGs'}: {counted}. Table written: {output}", soft_wrap=True)
    for status in done.rows:
        codes = [f"{code} {times}" for (of, code), times in done.reasons.most_common() if of == status]
        if codes:
            out.print(f"  {status}: {', '.join(codes)}", soft_wrap=True)
    if done.trained_on is not None:
        out.print(done.trained_on)
    out.print(DISCLAIMER, style="italic")
