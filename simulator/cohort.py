"""A simulated cohort folder: ECG and echo files of invented patients, the cohort tables and the truth behind them.

Everything follows from the seed: the same seed gives the same bytes, however many processes write them. Each patient
has random streams of their own and writes their own files; tables come last, so that an interrupted run leaves no
folder that looks complete.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator, SeedSequence

from cohorts.tables import SPLITS, CohortError, write_cohort_tables
from ground.disk import sha256, write_whole
from ground.progress import Progress, silent
from inputs.records import PreparedFor
from simulator.ecg.electrics import Electrics, sample_electrics
from simulator.ecg.files import write_ecg
from simulator.ecg.recorder import choose_recorder
from simulator.ecg.signal import simulate_ecg
from simulator.echo.anatomy import Anatomy, sample_anatomy
from simulator.echo.composition import choose_views
from simulator.echo.files import ClipFormat, write_clip, write_prepared, write_still
from simulator.echo.spectral import STILLS, render_still
from simulator.echo.truth import motion_columns
from simulator.echo.views import choose_machine, light_view, render_view
from simulator.patient import Patient, sample_patient
from simulator.physiology import Physiology
from simulator.report import report_study

SIMULATOR_VERSION = "2"
"""Changes whenever the same seed would give other files."""

_NOTICE = "Everything in this folder is invented by a simulator. Nothing in it comes from a patient."
_STAMP = "cohort.json"
_UNFINISHED = ".simulating.json"
_TABLES = ("ecgs", "echos", "studies", "splits")
_TRUTHS = ("truth", "truth_views")
_SPLIT_SHARES = dict(zip(SPLITS, (0.60, 0.10, 0.15, 0.15), strict=True))
_CALENDAR_START = datetime(2014, 1, 1)  # noqa: DTZ001 - cohort times are naive, as in date-shifted public data
_STUDIES_PER_PATIENT = (0.50, 0.28, 0.14, 0.08)
_LARGEST_RAW_CLIP_BYTES = 12_000_000


@dataclass(frozen=True)
class SimulationReport:
    """What a finished cohort folder holds."""

    patients: int
    ecgs: int
    studies: int
    clips: int
    seed: int
    simulator_version: str
    stills: int = 0
    clips_prepared_for: dict[str, float] | None = None
    """None: clips are films and DICOM files as machines write them."""


@dataclass(frozen=True)
class _Task:
    out: Path
    seed: int
    number: int
    prepared_for: PreparedFor | None


@dataclass(frozen=True)
class _Rows:
    """Table rows of one patient."""

    patient_id: str
    ecgs: list[dict[str, Any]]
    echos: list[dict[str, Any]]
    studies: list[dict[str, Any]]
    truth: list[dict[str, Any]]
    truth_views: list[dict[str, Any]]


@dataclass(frozen=True)
class _Person:
    """Who stays the same through all their visits: disease and its course, electrics, heart's shape and chest."""

    patient: Patient
    electrics: Electrics
    anatomy: Anatomy


@dataclass(frozen=True)
class _Visit:
    """One ECG or one study: its name, and the heart on that day."""

    record: str
    physiology: Physiology
    acquired_at: datetime

    def key(self, rows: _Rows, name: str) -> dict[str, Any]:
        return {"patient_id": rows.patient_id, name: self.record, "acquired_at": self.acquired_at.isoformat()}


def simulate_cohort(
    out: Path,
    *,
    patients: int,
    seed: int,
    workers: int = 1,
    replace: bool = False,
    prepared_for: PreparedFor | None = None,
    progress: Progress = silent,
) -> SimulationReport:
    """Write a cohort folder (see `cohorts.folder`) with truth and `cohort.json` beside its tables.

    `truth.csv` has a row per ECG and study, `truth_views.csv` one per clip, not still: what that clip really shows.
    Stills are rows of the table `echos` beside the clips; readers of clips skip them and say why.

    prepared_for: clips are drawn as a model of such a preparation gets them (`inputs.echo.prepared_clip`), in a
    fraction of time and room. Other models cannot read them. Tables, truth and ECGs are the same.

    The same simulation, finished, is found again and left as it is; one that a run left unfinished is begun anew.
    Another one is replaced if `replace` says so; any other folder must be empty (CohortError).
    With more than one worker, patients are written by spawned processes.
    """
    if patients < 1 or workers < 1 or seed < 0:
        raise ValueError("patients and workers must be at least 1, and seed must not be negative")
    there = find_simulation(out)
    asked = None if prepared_for is None else asdict(prepared_for)
    if there and not replace:
        same = (there.patients, there.seed, there.simulator_version) == (patients, seed, SIMULATOR_VERSION)
        if same and there.clips_prepared_for == asked:
            return there
        raise CohortError(
            "folder_not_empty",
            f"The output folder holds another simulated cohort: {there.patients} patients, seed {there.seed}, "
            f"simulator version {there.simulator_version}, clips {_as_told(there.clips_prepared_for)}.",
            hint="Name another folder, or delete this one first.",
        )
    _claim(out, seed)
    tasks = [_Task(out, seed, number, prepared_for) for number in range(patients)]
    done: list[_Rows] = []
    for rows in _each_patient(tasks, workers):
        done.append(rows)
        progress(len(done), patients, "")
    studies = [row for rows in done for row in rows.studies]
    report = SimulationReport(
        patients=patients,
        ecgs=sum(len(rows.ecgs) for rows in done),
        studies=len(studies),
        clips=sum(len(rows.truth_views) for rows in done),
        seed=seed,
        simulator_version=SIMULATOR_VERSION,
        stills=sum(len(rows.echos) - len(rows.truth_views) for rows in done),
        clips_prepared_for=asked,
    )
    for name in _TRUTHS:
        truth = pd.DataFrame([row for rows in done for row in getattr(rows, name)])
        truth.to_csv(out / f"{name}.csv", index=False, float_format="%.4f", lineterminator="\n")
    write_cohort_tables(
        out,
        pd.DataFrame([row for rows in done for row in rows.ecgs]),
        pd.DataFrame([row for rows in done for row in rows.echos]),
        pd.DataFrame(studies),
        pd.DataFrame(_splits([rows.patient_id for rows in done], seed)),
    )
    _write_json(out / _STAMP, {"notice": _NOTICE, **asdict(report)})
    (out / _UNFINISHED).unlink()
    return report


def _as_told(prepared_for: dict[str, float] | None) -> str:
    if prepared_for is None:
        return "as machines write them"
    return "prepared for " + ", ".join(f"{name} {value:g}" for name, value in prepared_for.items())


def find_simulation(out: Path) -> SimulationReport | None:
    """The report of a finished simulation in this folder, or None where there is none."""
    if not (out / _STAMP).is_file():
        return None
    try:
        stamp = json.loads((out / _STAMP).read_text(encoding="utf-8"))
        if stamp.pop("notice", None) != _NOTICE or (out / _UNFINISHED).exists():
            return None
        return SimulationReport(**stamp)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _claim(out: Path, seed: int) -> None:
    """Make the folder ours and empty, tables first."""
    if out.exists() and not out.is_dir():
        raise CohortError("not_a_folder", "The output is a file; name a folder.")
    out.mkdir(parents=True, exist_ok=True)
    ours = find_simulation(out) is not None or (out / _UNFINISHED).is_file()
    if any(out.iterdir()) and not ours:
        raise CohortError(
            "folder_not_empty",
            "The output folder is not empty and does not hold a simulated cohort.",
            hint="Name a new or an empty folder.",
        )
    _write_json(out / _UNFINISHED, {"notice": _NOTICE, "seed": seed})
    for table in (_STAMP, *(f"{name}.csv" for name in (*_TABLES, *_TRUTHS))):
        (out / table).unlink(missing_ok=True)
    for folder in ("ecgs", "echos"):
        if (out / folder).exists():
            shutil.rmtree(out / folder)
        (out / folder).mkdir()


def _each_patient(tasks: list[_Task], workers: int) -> Iterator[_Rows]:
    """Rows in the order of the tasks, whoever finishes first."""
    if workers == 1:
        yield from map(_simulate_patient, tasks)
        return
    pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(_simulate_patient, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _simulate_patient(task: _Task) -> _Rows:
    """Draw one person and the days on which they are examined, then write their ECGs and studies."""
    streams = SeedSequence(task.seed, spawn_key=(1, task.number))
    traits, electrical, calendar, reader, chest = (np.random.default_rng(s) for s in streams.spawn(5))
    person = _Person(sample_patient(traits), sample_electrics(electrical), sample_anatomy(chest))
    ecg_days, study_days = _plan(calendar)
    first_day = _CALENDAR_START + timedelta(days=int(calendar.integers(0, 1800)))
    tag = sha256(str(task.seed).encode()).hexdigest()[:6]
    name = f"{tag}-{task.number:05d}"
    rows = _Rows(patient_id=f"P{name}", ecgs=[], echos=[], studies=[], truth=[], truth_views=[])

    for count, (day, stream) in enumerate(zip(ecg_days, streams.spawn(len(ecg_days)), strict=True)):
        visit = _Visit(f"E{name}-{count}", person.patient.at(day), first_day + _since(day))
        _write_ecg(task, visit, person.electrics, np.random.default_rng(stream), rows)
    for count, (day, stream) in enumerate(zip(study_days, streams.spawn(len(study_days)), strict=True)):
        visit = _Visit(f"S{name}-{count}", person.patient.at(day), first_day + _since(day))
        rows.studies.append({**visit.key(rows, "study_id"), **report_study(visit.physiology, reader)})
        rows.truth.append(_truth(visit, rows))
        _write_study(task, visit, person.anatomy, np.random.default_rng(stream), rows)
    return rows


def _write_ecg(task: _Task, visit: _Visit, electrics: Electrics, rng: Generator, rows: _Rows) -> None:
    recorder = choose_recorder(visit.physiology.site, rng)
    signal_LN = simulate_ecg(visit.physiology, electrics=electrics, recorder=recorder, rng=rng)
    path = write_ecg(
        signal_LN,
        task.out / "ecgs" / visit.record,
        recorder=recorder,
        patient_id=rows.patient_id,
        ecg_id=visit.record,
        acquired_at=visit.acquired_at,
    )
    rows.ecgs.append({**visit.key(rows, "ecg_id"), "path": path.relative_to(task.out).as_posix()})
    rows.truth.append({**_truth(visit, rows), "arms_reversed": recorder.arms_reversed})


def _write_study(task: _Task, visit: _Visit, anatomy: Anatomy, rng: Generator, rows: _Rows) -> None:
    """Every clip and still is a row of `echos`; what a clip shows, a row of `truth_views`."""
    folder = task.out / "echos" / visit.record
    folder.mkdir()
    key = {"patient_id": rows.patient_id, "study_id": visit.record}
    machine = choose_machine(visit.physiology.site, rng)
    views = choose_views(rng)
    # A stream for each: what one takes, whichever way it is drawn, changes no other.
    for number, (view, stream) in enumerate(zip(views, rng.spawn(len(views)), strict=True)):
        view_id = f"{visit.record}-{number:02d}"
        taken_at = visit.acquired_at + timedelta(seconds=number * 45 + int(stream.integers(0, 40)))
        identity: Any = {**key, "view_id": view_id, "acquired_at": taken_at, "uid_seed": task.seed}
        if view in STILLS:
            path = write_still(render_still(visit.physiology, view, machine, stream), folder / view_id, **identity)
        elif task.prepared_for is not None:
            frames_THWC, truth = light_view(visit.physiology, anatomy, view, machine, stream, task.prepared_for)
            path = write_prepared(frames_THWC, folder / view_id, task.prepared_for)
        else:
            clip = render_view(visit.physiology, anatomy, view, machine, stream)
            kind = _clip_format(visit.physiology.site, clip.frames_THWC.nbytes, stream)
            path, truth = write_clip(clip, folder / view_id, kind, **identity), clip.truth
        if view not in STILLS:
            rows.truth_views.append({"view_id": view_id, **key, **truth.as_row()})
        row = {"view_id": view_id, "acquired_at": taken_at.isoformat(), "path": path.relative_to(task.out).as_posix()}
        rows.echos.append({**key, **row, "view": view})


def _clip_format(site: int, clip_bytes: int, rng: Generator) -> ClipFormat:
    """The clinic exports films, the others DICOM; a few small clips are left uncompressed."""
    draw = rng.random()
    if draw < (0.05, 0.10, 0.40)[site]:
        return "avi"
    return "dicom_raw" if draw > 0.97 and clip_bytes <= _LARGEST_RAW_CLIP_BYTES else "dicom_jpeg"


def _plan(rng: Generator) -> tuple[list[float], list[float]]:
    """Days of a patient's ECGs and of their echo studies.

    Most studies have an ECG within a week, some have two, and some ECGs lie weeks or months away from any study.
    """
    studies = 1 + int(rng.choice(len(_STUDIES_PER_PATIENT), p=_STUDIES_PER_PATIENT))
    gaps = np.clip(np.exp(rng.normal(np.log(230.0), 0.8, size=studies)), 15.0, 1200.0)
    gaps[0] = rng.uniform(30.0, 200.0)
    study_days = [float(np.floor(day)) + rng.uniform(0.33, 0.75) for day in np.cumsum(gaps)]
    ecg_days: list[float] = []
    for day in study_days:
        close = 1 + int(rng.random() < 0.25) if rng.random() < 0.92 else 0
        ecg_days += [day + float(np.clip(rng.normal(0.0, 1.8), -6.5, 6.5)) for _ in range(close)]
    for _ in range(rng.poisson(0.5)):
        ecg_days.append(rng.choice(study_days) + float(rng.choice([-1.0, 1.0]) * rng.uniform(9.0, 28.0)))
    return sorted(ecg_days or [study_days[0] - 20.0]), study_days


def _since(day: float) -> timedelta:
    return timedelta(seconds=round(day * 86400.0))


def _truth(visit: _Visit, rows: _Rows) -> dict[str, Any]:
    known = {**asdict(visit.physiology), **motion_columns(visit.physiology.segment_motion)}
    del known["segment_motion"]
    key = {"record": visit.record, "patient_id": rows.patient_id, "acquired_at": visit.acquired_at.isoformat()}
    return {**key, **known}


def _splits(patient_ids: list[str], seed: int) -> list[dict[str, str]]:
    """Patients to splits by a seeded shuffle, so that shares are as exact as whole patients allow."""
    shuffled = np.random.default_rng(SeedSequence(seed, spawn_key=(0,))).permutation(len(patient_ids))
    ends = np.rint(np.cumsum(list(_SPLIT_SHARES.values())) * len(patient_ids)).astype(int)
    split_of = np.empty(len(patient_ids), dtype=int)
    split_of[shuffled] = np.searchsorted(ends, np.arange(len(patient_ids)), side="right")
    return [{"patient_id": p, "split": SPLITS[s]} for p, s in zip(patient_ids, split_of, strict=True)]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")
