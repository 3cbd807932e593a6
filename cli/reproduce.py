"""The paper's comparison: simulate a cohort or take one, train every arm, show the table."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cli.console import out
from ground.disk import short_name_of
from models.bundle import read_manifest
from models.device import Machine
from simulator.cohort import SIMULATOR_VERSION, find_simulation, simulate_cohort
from training.evaluation.metrics import Spread
from training.reproduce.data import open_for_comparison
from training.reproduce.run import claimed, reproduce
from training.reproduce.sizes import Size
from training.reproduce.source_hash import PACKAGES, source_sha256
from training.reproduce.table import Comparison, Origin

_ARMS_ABREAST = 5
"""As many as the smallest size has."""


def run_reproduction(
    folder: Path,
    size: Size,
    machine: Machine,
    *,
    seeds: int,
    cohort_dir: Path | None = None,
    ecg_start: Path | None = None,
) -> Comparison:
    """Goes on with what is not finished, on `cohort_dir` or, without it, on the simulated cohort of `size`.

    That is simulated where it is not there yet. CohortError for a cohort that lacks what the arms need.
    """
    start = None if ecg_start is None else read_manifest(ecg_start)[0].id
    if cohort_dir is not None:
        origin = origin_of(cohort_dir, size).model_copy(update={"ecg_start": start})
        with claimed(folder, origin):
            return reproduce(cohort_dir, size, origin, folder, machine, seeds=seeds, ecg_start=ecg_start)
    origin = Origin(
        size=size.name,
        patients=size.patients,
        cohort_seed=size.cohort_seed,
        simulator_version=SIMULATOR_VERSION,
        code_version=version("echo2ecg"),
        settings_sha256=short_name_of(size.model_dump_json()),
        ecg_start=start,
        source_sha256=source_sha256(packages=(*PACKAGES, "simulator")) if size.once else None,
    )
    with claimed(folder, origin):
        cohort = folder / "cohort"
        if find_simulation(cohort) is None:
            simulate_cohort(
                cohort,
                patients=size.patients,
                seed=size.cohort_seed,
                workers=machine.workers,
                prepared_for=size.recipe.echo.prepared_for if size.clips_as_prepared else None,
                progress=lambda done, total, _: machine.progress(done, total, "simulate patients"),
            )
        return reproduce(cohort, size, origin, folder, machine, seeds=seeds, ecg_start=ecg_start)


def origin_of(cohort_dir: Path, size: Size) -> Origin:
    """Of a comparison on a cohort that was given. CohortError where it lacks what the arms need."""
    cohort = open_for_comparison(cohort_dir, size.recipe)
    return Origin(
        size=size.name,
        patients=cohort.pairs["patient_id"].nunique(),
        cohort_seed=None,
        simulator_version=cohort.about.simulator_version,
        code_version=version("echo2ecg"),
        settings_sha256=short_name_of(size.recipe.model_dump_json()),
        cohort=cohort.root.name,
        cohort_sha256=cohort.sha256,
        source_sha256=source_sha256() if size.once else None,
    )


def print_comparison(comparison: Comparison) -> None:
    """The table, a few arms at a time and with the interval under the mean, so that it fits a terminal."""
    for first in range(0, len(comparison.arms), _ARMS_ABREAST):
        out.print(_table(comparison, slice(first, first + _ARMS_ABREAST)))
    for verdict in comparison.verdicts:
        out.print(f"{verdict.name} ({verdict.claim}): {verdict.outcome}. {'; '.join(verdict.measured)}")
    for note in comparison.notes():
        out.print(note)


def _table(comparison: Comparison, arms: slice) -> Table:
    table = Table(title=f"Mean over seeds (lowest to highest), test patients, size {comparison.origin.size}")
    table.add_column("")
    for name in (*comparison.arms[arms], "random ranking", *(["ideal ranking"] if comparison.ideal_ranking else [])):
        table.add_column(name, justify="right", overflow="fold")
    for row in comparison.rows():
        ideal = [_number(row.ideal)] if comparison.ideal_ranking else []
        table.add_row(row.label, *(_cell(spread) for spread in row.arms[arms]), _number(row.chance), *ideal)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _cell(spread: Spread | None) -> Text:
    if spread is None:
        return Text("–")
    between = " to " if spread.low < 0 else "-"
    return Text(f"{spread.mean:.3f}\n{spread.low:.3f}{between}{spread.high:.3f}")
