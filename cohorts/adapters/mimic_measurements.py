"""What MIMIC-IV-ECHO 1.x measured (`structured-measurement.csv.gz`), as values and findings of the studies with clips.

A row is one measurement of one examination (`measurement_id`): its name, its result as text, its unit. The table has
examinations of many more patients than the clips are of, so it is read in pieces and only theirs are kept. Resting
transthoracic and transoesophageal examinations count; stress echos do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cohorts.adapters.base import Skipped, Source
from cohorts.adapters.cells import whole
from cohorts.adapters.mimic_findings import TEXTS, findings, lvef_finding
from cohorts.adapters.source_tables import source_rows

_COLUMNS = ("subject_id", "measurement_id", "measurement_datetime", "test_type", "measurement", "result")
_AT_REST, _STRESS = ("tte", "tee"), "stress"
IDS = ("subject_id", "study_id", "measurement_id")

LVEF_FIELDS = ("lvef", "biplane_lvef", "rest_lvef", "rest_biplane_lvef", "lvef_3d", "lvef_upper", "rest_lvef_upper")
"""The first that an examination has is its LVEF; `stress_lvef` is none."""
_UPPER = {"lvef": "lvef_upper", "rest_lvef": "rest_lvef_upper"}
"""The low end of a range -> its high end; LVEF is then the middle."""

_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(LVEF_FIELDS, (5.0, 95.0)),
    "septal_thickness": (0.3, 3.0),
    "inf_lat_thickness": (0.3, 3.0),
    "tapse": (0.5, 4.0),
    "tr_velocity": (0.5, 8.0),
    "tr_mmhg": (0.0, 150.0),
    "av_pk_vel": (0.3, 8.0),
    "av_mean_grad": (0.0, 150.0),
    "av_area_continuity": (0.1, 8.0),
}
"""What a heart can have, in percent, cm, m/s, mmHg and cm2; anything else is a slip of the pen."""
_TO_OURS = {"mm": 0.1, "cm/s": 0.01}
_ROUNDED = 1.0
"""How far two values of one LVEF may lie apart and be the same, rounded."""
_MOST_NAMED = 5
_TAPSE_MM = 5.0
"""TAPSE is entered in mm or cm whatever the unit beside it says; no TAPSE is as long as 5 cm or as short as 5 mm."""


@dataclass(frozen=True)
class Measured:
    """values: by study_id columns of `studies`, and `lvef_from` and `measured_by`. stress: ids of stress echos."""

    values: pd.DataFrame
    stress: frozenset[str]
    skipped: tuple[Skipped, ...]
    unfound: Mapping[str, pd.Series]
    """Why studies have no measurements although they name some -> which of `studies`."""


@dataclass
class _Read:
    """What a pass over the table leaves. others: examinations of other patients that a study names."""

    kept: list[pd.DataFrame] = field(default_factory=list)
    stress: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    unknown: list[pd.Series] = field(default_factory=list)
    """test_type that is not known here."""


def read_measured(path: Path, studies: pd.DataFrame, source: Source) -> Measured:
    """Of `studies` (patient_id, study_id, acquired_at, measurement_id) what the table says.

    A study's examination is the one that it names, else the patient's nearest in time on the same day. Raises
    CohortError for a table that cannot be read.
    """
    read = _rows_of(path, studies, source)
    rows, stress = pd.concat(read.kept), frozenset(read.stress)
    at_rest = rows.drop_duplicates("measurement_id")
    examination, measured_by = _examinations(studies, at_rest)
    rows = rows[rows["measurement_id"].isin(set(examination))]
    numbers, skipped = _numbers(rows, path.name)
    texts = _first_of_each(rows[rows["measurement"].isin(TEXTS)], "result", TEXTS)
    values, unclear = findings(numbers.join(texts, how="outer"))
    key = pd.MultiIndex.from_frame(rows[["measurement_id", "measurement"]])
    is_unclear = pd.Series(unclear.reindex(key, fill_value=False).to_numpy(dtype=bool), index=rows.index)
    skipped += _told("a grade in words that are not known here", path.name, rows, is_unclear)
    unknown = pd.concat(read.unknown)
    words = ", ".join(sorted({*unknown})[:_MOST_NAMED])
    skipped += _told(f"a test_type that is not known here ({words})", path.name, unknown, unknown != "")
    values = pd.concat([_lvef(numbers.reindex(values.index)), values], axis=1).reindex(examination)
    values.index = studies["study_id"]
    values["measured_by"] = measured_by.to_numpy()
    named = studies["measurement_id"]
    is_stress = named.isin(stress) & (measured_by == "")
    unfound = (named != "") & (measured_by == "") & ~is_stress
    of_others = named.isin(read.others) | named.isin(at_rest["measurement_id"])
    why = {
        f"kept without measurements: {path.name} has no examination at rest of its measurement_id": ~of_others,
        "kept without measurements: its measurement_id is another patient's": of_others,
    }
    why = {reason: unfound & rows for reason, rows in why.items()}
    return Measured(values, frozenset(studies["study_id"][is_stress]), tuple(skipped), why)


def _rows_of(path: Path, studies: pd.DataFrame, source: Source) -> _Read:
    """The patients' rows at rest whose measurements mean something here, and the ids of their stress echos."""
    read, n_rows = _Read(), 0
    patients, named = frozenset(studies["patient_id"]), frozenset(studies["measurement_id"])
    wanted = {*_BOUNDS, *TEXTS}
    for piece in source_rows(path, _COLUMNS, ("unit",), free=("result",)):
        n_rows += len(piece)
        piece = piece.assign(**{name: whole(piece[name]) for name in IDS if name in piece})
        read.others.update(named.intersection(piece["measurement_id"][~piece["subject_id"].isin(patients)]))
        piece = piece[piece["subject_id"].isin(patients)]
        kind, name = piece["test_type"].str.lower(), piece["measurement"].str.lower()
        read.stress.update(piece["measurement_id"][kind == _STRESS])
        read.unknown.append(piece["test_type"][~kind.isin([*_AT_REST, _STRESS])])
        rows = piece.assign(measurement=name)[kind.isin(_AT_REST)]
        read.kept.append(rows[rows["measurement"].isin(wanted) | ~rows["measurement_id"].duplicated()])
        source.progress(n_rows, n_rows, "measurements read")
    return read


def _examinations(studies: pd.DataFrame, at_rest: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """For each study the id of its examination, empty where it has none, and by what it was found."""
    patient_of = at_rest.set_index("measurement_id")["subject_id"]
    named = studies["measurement_id"].where(studies["measurement_id"].map(patient_of) == studies["patient_id"], "")
    measured_by = pd.Series("measurement_id", index=studies.index).where(named != "", "")

    times = pd.to_datetime(at_rest["measurement_datetime"], format="ISO8601", errors="coerce")
    theirs = at_rest.assign(time=times, day=times.dt.normalize())[["subject_id", "measurement_id", "time", "day"]]
    theirs = theirs[~theirs["measurement_id"].isin(studies["measurement_id"])]  # some study's own
    ours = studies[studies["measurement_id"] == ""]
    when = pd.to_datetime(ours["acquired_at"], format="ISO8601", errors="coerce")
    ours = ours.assign(place=ours.index, when=when, day=when.dt.normalize()).dropna(subset="day")
    near = ours.merge(theirs, left_on=["patient_id", "day"], right_on=["subject_id", "day"], suffixes=("", "_theirs"))
    near = near.assign(apart=(near["time"] - near["when"]).abs()).sort_values("apart", kind="stable")
    near = near.drop_duplicates("place").set_index("place")
    same_day = near["measurement_id_theirs"].reindex(studies.index)
    return named.where(same_day.isna(), same_day), measured_by.where(same_day.isna(), "same_day")


def _numbers(rows: pd.DataFrame, table: str) -> tuple[pd.DataFrame, list[Skipped]]:
    """By examination a column for each measurement that is a number, in our units; what was none."""
    rows = rows[rows["measurement"].isin(_BOUNDS) & (rows["result"] != "")]
    value = pd.to_numeric(rows["result"].str.removesuffix("%").str.strip(), errors="coerce")
    unit = rows["unit"].str.lower() if "unit" in rows else pd.Series("", index=rows.index)
    is_tapse = rows["measurement"] == "tapse"
    scaled = value * unit.map(_TO_OURS).fillna(1.0)
    scaled = scaled.mask(is_tapse, value.where(value < _TAPSE_MM, value / 10))
    low = rows["measurement"].map(lambda name: _BOUNDS[name][0])
    high = rows["measurement"].map(lambda name: _BOUNDS[name][1])
    no_number = ~np.isfinite(value)
    outside = ~no_number & ~((scaled >= low) & (scaled <= high))
    is_lvef = rows["measurement"].isin(LVEF_FIELDS)
    skipped = [
        *_told("an LVEF that is not a number", table, rows, no_number & is_lvef),
        *_told("an LVEF that is not between 5 and 95 %", table, rows, outside & is_lvef),
        *_told("a measurement that is not a number", table, rows, no_number & ~is_lvef),
        *_told("a measurement that no heart has", table, rows, outside & ~is_lvef),
    ]
    kept = rows.assign(number=scaled)[~no_number & ~outside]
    of_lvef = kept[kept["measurement"].isin(LVEF_FIELDS)].groupby(["measurement_id", "measurement"])["number"]
    apart = (of_lvef.transform("max") - of_lvef.transform("min")).reindex(kept.index, fill_value=0.0) > _ROUNDED
    reason = "an LVEF that its examination has twice, of values apart; left unknown"
    skipped += _told(reason, table, kept, apart)
    unclear = kept["measurement_id"].isin(kept["measurement_id"][apart]) & kept["measurement"].isin(LVEF_FIELDS)
    kept = kept[~unclear]
    return _first_of_each(kept, "number", _BOUNDS).astype("float64"), skipped


def _first_of_each(rows: pd.DataFrame, column: str, names: Iterable[str]) -> pd.DataFrame:
    """By measurement_id a column for each measurement; of several of one name the first."""
    first = rows.drop_duplicates(["measurement_id", "measurement"])
    return first.pivot(index="measurement_id", columns="measurement", values=column).reindex(columns=[*names])


def _told(reason: str, table: str, rows: pd.DataFrame | pd.Series, found: pd.Series) -> list[Skipped]:
    """A list with one `Skipped` of the rows where `found` is true; their index counts the table's rows from 0."""
    places = rows.index[found]
    if len(places) == 0:
        return []
    return [Skipped(reason, table, len(places), tuple(int(place) + 1 for place in places[:10]))]


def _lvef(numbers: pd.DataFrame) -> pd.DataFrame:
    """lvef_percent and, in `lvef_from`, the field or the two ends of the range that it is from."""
    lvef = pd.Series(np.nan, index=numbers.index)
    origin = pd.Series("", index=numbers.index)
    for name in LVEF_FIELDS:
        value, of = numbers[name], pd.Series(name, index=numbers.index)
        if name in _UPPER:
            upper = numbers[_UPPER[name]]
            is_range = upper > value
            value, of = value.where(~is_range, (value + upper) / 2), of.mask(is_range, f"{name} and {_UPPER[name]}")
        fresh = lvef.isna() & value.notna()
        lvef, origin = lvef.where(~fresh, value), origin.where(~fresh, of)
    flag = lvef_finding(lvef)
    return pd.DataFrame({"lvef_percent": lvef, "lvef_from": origin, "lvef_lte_45_flag": flag})
