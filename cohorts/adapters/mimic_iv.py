"""MIMIC-IV-ECG 1.0 (800,035 ECGs as WFDB) and MIMIC-IV-ECHO (7,243 studies, some 525,000 DICOM clips) of one hospital.

ECG: `record_list.csv` (subject_id, study_id, ecg_time, path without suffix). ECHO: `echo-record-list.csv` (subject_id,
study_id, acquisition_datetime, dicom_filepath), `echo-study-list.csv` (subject_id, study_id, study_datetime) and, from
1.0 on, measurement_id in it and `structured-measurement.csv.gz`; 0.1 has no measurements. Both parts lie below one
folder, or each under a root of its own, `ecg` and `echo`; without the echo part the cohort is of ECGs.

Dates are shifted, by as much for all of a patient. Neither part has splits, so a hash of the patient decides. Stills
are among the clips; whoever reads a file tells them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cohorts.adapters.base import DataSet, Gathered, Skipped, Source, found_below, left_out, splits_by_hash
from cohorts.adapters.cells import check_ids, refuse_rows, whole
from cohorts.adapters.mimic_measurements import IDS, Measured, read_measured
from cohorts.adapters.source_tables import read_source_table
from cohorts.adapters.there import files_there
from cohorts.tables import CohortError, TableName

_ECGS, _CLIPS, _STUDIES = "record_list.csv", "echo-record-list.csv", "echo-study-list.csv"
_MEASUREMENTS = ("structured-measurement.csv.gz", "structured-measurement.csv")
_OWN = ("lvef_from", "measured_by")
_PART_MISSING = {
    "ecg": f"The ECG part is missing: there is no {_ECGS}, so nothing is paired; --root ecg=DIR names its folder.",
    "echo": f"The echo part is missing: there is no {_CLIPS}, so the cohort is of ECGs alone; --root echo=DIR names "
    "its folder.",
}
_CLOCK = (
    "naive, shifted by as much for all of a patient; the clocks of ECG machines are not synchronised with the record, "
    "so days between an ECG and an echo are approximate"
)


def _gather(source: Source) -> Gathered:
    places = {"ecg": _place(source, "ecg", _ECGS), "echo": _place(source, "echo", _CLIPS)}
    if not any(places.values()):
        raise CohortError(
            "data_set_not_found",
            f"There is neither {_ECGS} nor {_CLIPS} in the folder or below it, as MIMIC-IV-ECG and -ECHO have them.",
            hint="Name the folder that both lie in, or each with --root ecg=DIR and --root echo=DIR.",
        )
    roots = {name: table.parent for name, table in places.items() if table is not None}
    ecgs, about = None, {"times": _CLOCK}
    skipped: list[Skipped] = []
    if places["ecg"] is not None:
        ecgs, skipped = _ecgs(places["ecg"], source)
    echos = studies = None
    if places["echo"] is not None:
        echos, studies, more, said = _echos(places["echo"], source)
        skipped, about = [*skipped, *more], {**about, **said}
    warnings = tuple(_PART_MISSING[name] for name, table in places.items() if table is None)
    patients = pd.concat([frame["patient_id"] for frame in (ecgs, studies) if frame is not None])
    about["splits"] = "by a hash of the patient's id: of 100 about 70 train, 10 val, 10 calibration, 10 test"
    own: dict[TableName, tuple[str, ...]] = {"studies": _OWN}
    return Gathered(roots, splits_by_hash(patients), ecgs, echos, studies, about, tuple(skipped), own, warnings)


def _place(source: Source, root: str, table: str) -> Path | None:
    """The table of one part; it must be there where somebody named the part's folder."""
    named = source.roots.get(root)
    found = found_below(named or source.folder, table)
    if found is None and named is not None:
        raise CohortError("data_set_not_found", f"There is no {table} in the folder of --root {root} or below it.")
    return found


def _ecgs(path: Path, source: Source) -> tuple[pd.DataFrame, list[Skipped]]:
    table = _read(path, ("subject_id", "study_id", "ecg_time", "path"))
    _check(table, "study_id", path.name)
    there = files_there(path.parent, table["path"] + ".hea", source)
    _some_there(there, path.name, "ECGs")
    ecgs = pd.DataFrame(
        {
            "patient_id": table["subject_id"],
            "ecg_id": table["study_id"],
            "acquired_at": _iso(table["ecg_time"]),
            "path": "ecg:" + table["path"] + ".hea",
        }
    )
    return ecgs[there].reset_index(drop=True), left_out("the file is not there", path.name, ~there)


def _echos(path: Path, source: Source) -> tuple[pd.DataFrame, pd.DataFrame, list[Skipped], dict[str, Any]]:
    """Clips and studies, what was left out, and what `cohort.json` says of them."""
    studies = _studies(path.parent)
    measurements = next((found for name in _MEASUREMENTS if (found := path.parent / name).is_file()), None)
    about = _generation(studies, measurements)
    skipped, stress = [], frozenset[str]()
    if measurements is not None:
        measured = read_measured(measurements, studies, source)
        stress, skipped = measured.stress, [*measured.skipped]
        for reason, rows in measured.unfound.items():
            skipped += left_out(reason, _STUDIES, rows)
        studies = studies.merge(measured.values, left_on="study_id", right_index=True, how="left")
        about |= _labels(measured)
    is_stress = studies["study_id"].isin(stress)
    skipped += left_out("a stress echo, which is not of a heart at rest", _STUDIES, is_stress)

    table = _read(path, ("subject_id", "study_id", "acquisition_datetime", "dicom_filepath"))
    _check(table, "dicom_filepath", path.name)
    there = files_there(path.parent, table["dicom_filepath"], source)
    _some_there(there, path.name, "clips")
    listed = table["study_id"].isin(studies["study_id"])
    at_rest = ~table["study_id"].isin(stress)
    echos = pd.DataFrame(
        {
            "patient_id": table["subject_id"],
            "study_id": table["study_id"],
            "view_id": table["dicom_filepath"]
            .str.replace(r"^.*/", "", regex=True)
            .str.replace(r"\.dcm$", "", regex=True),
            "acquired_at": _iso(table["acquisition_datetime"]),
            "path": "echo:" + table["dicom_filepath"],
        }
    )
    skipped += left_out(f"its study is not in {_STUDIES}", path.name, ~listed)
    skipped += left_out("of a stress echo", path.name, listed & ~at_rest)
    skipped += left_out("the file is not there", path.name, listed & at_rest & ~there)
    kept = echos[listed & at_rest & there].reset_index(drop=True)
    return kept, studies[~is_stress].reset_index(drop=True), skipped, about


def _studies(folder: Path) -> pd.DataFrame:
    path = folder / _STUDIES
    table = _read(path, ("subject_id", "study_id", "study_datetime"), ("measurement_id",))
    _check(table, "study_id", path.name)
    return pd.DataFrame(
        {
            "patient_id": table["subject_id"],
            "study_id": table["study_id"],
            "acquired_at": _iso(table["study_datetime"]),
            "measurement_id": table.get("measurement_id", pd.Series("", index=table.index)),
        }
    )


def _read(path: Path, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> pd.DataFrame:
    """As `read_source_table`. Ids may be written as floating-point numbers: in one table all, in another none."""
    table = read_source_table(path, wanted, optional)
    return table.assign(**{name: whole(table[name]) for name in IDS if name in table})


def _generation(studies: pd.DataFrame, measurements: Path | None) -> dict[str, Any]:
    if measurements is not None:
        return {"echo": f"MIMIC-IV-ECHO 1.x, with measurements from {measurements.name}"}
    why = f"none: there is no {_MEASUREMENTS[0]} beside {_STUDIES}, as MIMIC-IV-ECHO has it from 1.0 on"
    newer = (studies["measurement_id"] != "").any()
    return {"echo": f"MIMIC-IV-ECHO {'1.x' if newer else '0.1'}", "lvef": why, "flags": why}


def _labels(measured: Measured) -> dict[str, Any]:
    """Counts by field and by way of linking, as sentences."""
    values = measured.values
    return {
        "lvef": _counted(values["lvef_from"], "studies by the field that LVEF is from"),
        "measured_by": _counted(values["measured_by"], "studies by what links them to measurements"),
        "flags": "from measurements and grades of rest echos (tte, tee); what an examination does not say is unknown",
        "posterior_wall_cm": "inf_lat_thickness, the inferolateral wall; there is no other",
        "tr_velocity_m_s": "tr_velocity, or from tr_mmhg, which is four times its square",
        "pasp_mmhg": "tr_mmhg and the right atrium's pressure by the words of ivc; unknown without them",
    }


def _counted(of: pd.Series, words: str) -> str:
    counts = of.fillna("").value_counts()
    known = [f"{name} {counts[name]}" for name in sorted(counts.index) if name]
    return f"{words}: " + ", ".join([*known, f"none {counts.get('', 0)}"])


def _check(table: pd.DataFrame, key: str, name: str) -> None:
    check_ids(table[key], key, name)
    refuse_rows("id_missing", "subject_id is empty", name, table["subject_id"] == "")


def _some_there(there: pd.Series, table: str, what: str) -> None:
    if not there.any():
        sentence = f"None of the {len(there)} {what} that {table} lists is there."
        raise CohortError("data_set_not_found", sentence, hint="Are the files below the folder that holds the table?")


def _iso(times: pd.Series) -> pd.Series:
    return times.str.replace(" ", "T")


MIMIC_IV = DataSet(
    "mimic-iv",
    "MIMIC-IV-ECG and MIMIC-IV-ECHO: ECGs as WFDB, echos as DICOM",
    _gather,
    options=frozenset({"root"}),
    licence="MIMIC-IV-ECG: Open Data Commons Open Database License; MIMIC-IV-ECHO: PhysioNet credentialed access",
    citation="Gow et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset, PhysioNet, 2023, doi "
    "10.13026/4nqg-sb35; Gow et al., MIMIC-IV-ECHO: Echocardiogram Matched Subset, PhysioNet, 0.1 of 2023, doi "
    "10.13026/ef48-v217, or 1.0 of 2026, doi 10.13026/nrjh-5r77.",
)
