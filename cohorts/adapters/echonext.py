"""EchoNext 1.x (PhysioNet, restricted): 100,000 ECGs as arrays of z-scores, each with what an echo within a year found.

`echonext_metadata_100k.csv` (older copies: `EchoNext_metadata_100k.csv`; 38 named columns) beside
`EchoNext_{train,val,test,no_split}_waveforms.npy`, (N, 1, 2500, 12) float64 at 250 Hz, leads I, II, III, aVR, aVL, aVF,
V1 to V6. The rows of one split, in the order of the table, are the rows of that split's array. `no_split` shares
patients with val and test and is left out. The arrays of tabular features are not read: sources contradict each other
on the order of their columns, and the table has the same by name.

Each lead was z-scored over the data set, so the arrays have no unit: with the published normalisation (`lead_scale.py`)
they become millivolts, without it the cohort's amplitude is relative.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohorts.adapters.base import DataSet, Gathered, Skipped, Source, all_below, found_below, left_out
from cohorts.adapters.base import found_or_refused as found
from cohorts.adapters.cells import check_ids, check_numbers, refuse_rows, told_whole, whole, worded, yes_or_no
from cohorts.adapters.folds import splits_of
from cohorts.adapters.lead_scale import read_lead_scale
from cohorts.adapters.source_tables import columns_of, read_source_table
from cohorts.tables import CohortError
from ground.findings import SHD_FLAGS
from inputs.records import STANDARD_LEADS

_TABLE = "echonext_metadata_100k.csv"
_RATE_HZ, _SAMPLES = 250, 2500
_SPLITS = ("train", "val", "test", "no_split")
_WANTED = ("ecg_key", "patient_key", "split", "age_at_ecg", "sex", "lvef_value", *SHD_FLAGS)
_NUMBERS = {
    "age_at_ecg": "age",
    "lvef_value": "lvef_percent",
    "ivs_measurement": "septum_cm",
    "lvpw_measurement": "posterior_wall_cm",
    "pasp_value": "pasp_mmhg",
    "tr_max_velocity_value": "tr_velocity_m_s",
}
"""Column of theirs -> of `studies`."""
_OF_ECG = (
    "acquisition_year", "race_ethnicity", "most_recent_ecg", "ventricular_rate", "atrial_rate", "pr_interval",
    "qrs_duration", "qt_corrected",
)  # fmt: skip
_OF_STUDY = (
    "shd_moderate_or_greater_flag", "aortic_stenosis_value", "aortic_regurgitation_value",
    "mitral_regurgitation_value", "tricuspid_regurgitation_value", "pulmonary_regurgitation_value",
    "rv_systolic_function_value", "pericardial_effusion_value",
)  # fmt: skip
"""Kept under their own names."""
_SEXES = {"0": "female", "1": "male", "female": "female", "male": "male", "f": "female", "m": "male"}
_RELATIVE = (
    "Amplitudes are relative: the arrays are z-scores, which no bundle trained on millivolts takes; import again with "
    "--lead-scale FILE, the authors' waveform_normalization_params.json, and --lead-scale-unit."
)
_FLAG_WORDS = {"0": "false", "1": "true", "true": "true", "false": "false"}


def _gather(source: Source) -> Gathered:
    """Each ECG a study of its own that it names: the data set tells neither times nor which ECGs share an echo."""
    path = found(source.folder, _TABLE, "EchoNext")
    _check_table(source.folder, path)
    table = read_source_table(path, _WANTED, (*_NUMBERS, "location_setting", *_OF_ECG, *_OF_STUDY))
    check_ids(table["ecg_key"], "ecg_key", path.name)
    refuse_rows("id_missing", "patient_key is empty", path.name, table["patient_key"] == "")
    sentence = f"split must be one of {', '.join(_SPLITS)}"
    refuse_rows("split_unknown_name", sentence, path.name, ~table["split"].isin(_SPLITS))
    check_numbers(table, _NUMBERS, path.name)

    split = table["split"]
    # Beside the table: only their order pairs rows and arrays, and another version's may be another.
    arrays = {name: found_below(path.parent, f"EchoNext_{name}_waveforms.npy", depth=0) for name in _SPLITS[:3]}
    for done, (name, array) in enumerate(arrays.items(), start=1):
        if array is not None:
            _check_array(array, int((split == name).sum()), name)
        source.progress(done, len(arrays), f"EchoNext_{name}_waveforms.npy")
    if not any(arrays.values()):
        raise CohortError(
            "data_set_not_found",
            "There is none of EchoNext's waveform arrays beside its table.",
            hint="EchoNext_train_waveforms.npy and its like lie beside the table; they are downloads of their own.",
        )
    ecgs = _ecgs(source.folder, table, arrays)
    official = split.where(split != "no_split", "")
    splits, without, told = splits_of(ecgs["patient_id"], ecgs["ecg_id"], source, ("ecg_key",), path.name, official)
    shared, absent = split == "no_split", (split != "no_split") & ~split.map(arrays).notna()
    kept = ~shared & ~absent & (splits != "")
    skipped: list[Skipped] = [
        *left_out("split is no_split: these share patients with val and test", path.name, shared),
        *left_out("the array of its split is not there", path.name, absent),
        *([] if "folds" not in source.files else without),
    ]
    studies = _studies(table, path.name)
    return Gathered(
        roots={"ecg": source.folder},
        splits=ecgs.assign(split=splits)[kept][["patient_id", "split"]].drop_duplicates(),
        ecgs=ecgs[kept].reset_index(drop=True),
        studies=studies[kept].reset_index(drop=True),
        about=_about(source, told) | told_whole({name: table[name] for name in ("ecg_key", "patient_key")}),
        skipped=tuple(skipped),
        warnings=() if "lead-scale" in source.files else (_RELATIVE,),
        own={
            "ecgs": tuple(column for column in _OF_ECG if column in ecgs),
            "studies": tuple(column for column in _OF_STUDY if column in studies),
        },
    )


def _check_table(folder: Path, path: Path) -> None:
    """Raises CohortError where another table lies below the folder, and where rows are not in the order of its index.

    The first column has no name and numbers the rows as they were released, as those of the arrays are.
    """
    others = [each for each in all_below(folder, _TABLE) if each != path]
    if others:
        both = " and ".join(each.relative_to(folder).as_posix() for each in (path, others[0]))
        hint = "Name the folder of one version, with one table in it."
        raise CohortError("table_twice", f"There is more than one table of EchoNext: {both}.", hint=hint)
    names = columns_of(path)
    if names and names[0] == "" and names.count("") == 1:
        place = pd.to_numeric(read_source_table(path, (), ("",))[""], errors="coerce")
        sentence = "The rows are not in the order of their index, the column without a name"
        hint = "Only their order pairs them with the arrays: take the table as it was released."
        refuse_rows("rows_sorted_anew", sentence, path.name, ~(place.diff().fillna(1) > 0), hint=hint)


def _check_array(array: Path, rows: int, split: str) -> None:
    """Its header and length. Raises CohortError for an array that is damaged, cut or not that of the table's rows."""
    try:
        shape = np.load(array, mmap_mode="r", allow_pickle=False).shape
    except Exception as error:  # a damaged header fails in many ways: ValueError, TypeError, EOFError, TokenError, ...
        raise CohortError(
            "array_unreadable",
            f"{array.name} is damaged or cut off: it has not the length that its header states.",
            hint="Download it again and compare it with SHA256SUMS.txt.",
        ) from error
    if len(shape) != 4 or shape[1] != 1 or shape[3] != len(STANDARD_LEADS):
        raise CohortError(
            "array_unreadable", f"{array.name} has the shape {shape}; (ECGs, 1, samples, 12) is EchoNext's."
        )
    if shape[2] != _SAMPLES:
        sentence = f"{array.name} holds {shape[2]} samples of each ECG; EchoNext's have {_SAMPLES}, at {_RATE_HZ} Hz."
        raise CohortError("array_of_other_rate", sentence, hint="Take the array as it was released.")
    if shape[0] != rows:
        raise CohortError(
            "array_of_other_length",
            f"{array.name} holds {shape[0]} ECGs and the table {rows} rows of {split}.",
            hint="Only their order pairs them: take table and arrays of one version.",
        )


def _ecgs(folder: Path, table: pd.DataFrame, arrays: dict[str, Path | None]) -> pd.DataFrame:
    files = {name: f"ecg:{array.relative_to(folder).as_posix()}" for name, array in arrays.items() if array is not None}
    return table[[column for column in _OF_ECG if column in table]].assign(
        patient_id=whole(table["patient_key"]),
        ecg_id=whole(table["ecg_key"]),
        study_id=whole(table["ecg_key"]),
        path=table["split"].map(files).fillna(""),
        row=table.groupby("split").cumcount(),
        rate_hz=_RATE_HZ,
        leads=",".join(STANDARD_LEADS),
        site=table.get("location_setting", ""),
    )


def _studies(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A flag that is not set is false, as EchoNext has it: not found and not looked for are the same there."""
    flags = {flag: worded(table[flag], _FLAG_WORDS, flag, name).replace("", "false") for flag in SHD_FLAGS}
    own = {column: table[column] for column in _OF_STUDY if column in table}
    if _OF_STUDY[0] in own:
        own[_OF_STUDY[0]] = yes_or_no(own[_OF_STUDY[0]])
    numbers = {ours: table[theirs] for theirs, ours in _NUMBERS.items() if theirs in table}
    return pd.DataFrame(
        {
            "patient_id": whole(table["patient_key"]),
            "study_id": whole(table["ecg_key"]),
            "sex": worded(table["sex"], _SEXES, "sex", name),
            **numbers,
            **flags,
            **own,
        }
    )


def _about(source: Source, splits: str) -> dict[str, Any]:
    about: dict[str, Any] = {
        "splits": f"{splits}; val serves calibration too",
        "times": "unknown; each ECG names the findings of its own row as its study",
        "lvef_percent": "lvef_value of an echo within a year of the ECG",
        "flags": "EchoNext's own convention: a finding that was not measured counts as absent",
        "site": "location_setting",
    }
    if "lead-scale" not in source.files:
        if "lead-scale-unit" in source.words:
            raise CohortError("option_without_file", "--lead-scale-unit says the unit of a --lead-scale FILE.")
        return about | {"amplitude": "relative"}
    path = source.files["lead-scale"]
    return about | {"lead_scale": read_lead_scale(path, source.words.get("lead-scale-unit"))}


ECHONEXT = DataSet(
    "echonext",
    "EchoNext: ECGs as arrays of z-scores, findings of echos, no clips",
    _gather,
    options=frozenset({"folds", "lead-scale", "lead-scale-unit"}),
    licence="PhysioNet Restricted Health Data License 1.5.0",
    citation="Poterucha et al., Detecting structural heart disease from electrocardiograms using AI, Nature, 2025, "
    "doi 10.1038/s41586-025-09227-0.",
)
