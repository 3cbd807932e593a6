"""Data sets as they lie on a disk once downloaded, small and made up: names, columns and oddities as real ones have.

Letters in array names: E ECGs, N samples, L leads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "inputs"))

from ecg_xml import cardiosoft_xml

from ground.findings import SHD_FLAGS
from inputs.records import STANDARD_LEADS

LVEF = (25.0, 45.0, 60.0, 65.0)
COUNT_UV = 4.88
"""What one of EchoNext's numbers is before it was z-scored, in these trees."""
MEAN_L = np.linspace(-5, 6, 12)
STD_L = np.linspace(26, 57, 12)


def ecg_mv(lvef: float, rate_hz: int, seconds: float, draw: np.random.Generator) -> np.ndarray:
    """(N, 12) millivolt: beats whose QRS is the wider the lower the LVEF; the limb leads follow from I and II."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    width = 0.01 + 0.04 * (70 - lvef) / 45
    beats = sum(np.exp(-0.5 * ((t - at) / width) ** 2) for at in np.arange(draw.uniform(0.1, 0.5), seconds, 0.8))
    gains = np.array([0.6, 0.9, *(draw.uniform(0.5, 1.2, 6) * (0.4 + lvef / 100))])
    one, two, *chest = gains[:, None] * beats + 0.01 * draw.standard_normal((8, len(t)))
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest], axis=1)


def echonext(folder: Path, *, sizes: dict[str, int] | None = None, words: bool = False) -> np.ndarray:
    """The table and four arrays; (E, N, L) millivolt of the table's rows. words: sex as words, the csv's older name.

    Rows of the splits are mixed; train patients have two ECGs; no_split shares patients with val and test.
    """
    sizes = sizes or {"train": 16, "val": 24, "test": 8, "no_split": 4}
    draw, rows = np.random.default_rng(3), []
    folder.mkdir(parents=True)
    for split, patients in sizes.items():
        for number in range(patients):
            of = "val" if split == "no_split" else split
            for again in range(2 if split == "train" else 1):
                rows.append(
                    {"split": split, "patient_key": f"{of}{number}", "lvef": LVEF[number % 4], "most": again == 0}
                )
    rows = [rows[place] for place in draw.permutation(len(rows))]
    signals_ENL = np.stack([ecg_mv(row["lvef"], 250, 10, draw) for row in rows])
    z_ENL = (1000 / COUNT_UV * signals_ENL - MEAN_L) / STD_L
    of_row = np.array([row["split"] for row in rows])
    for split in sizes:
        np.save(folder / f"EchoNext_{split}_waveforms.npy", z_ENL[of_row == split][:, None])
        np.save(folder / f"EchoNext_{split}_tabular_features.npy", np.zeros((int((of_row == split).sum()), 7)))
    sexes = ("female", "male") if words else (0, 1)
    table = pd.DataFrame(
        {
            "ecg_key": [f"{1000 + place}" for place in range(len(rows))],
            "patient_key": [row["patient_key"] for row in rows],
            "age_at_ecg": [90 if place == 0 else 40 + place % 40 for place in range(len(rows))],
            "sex": [sexes[place % 2] for place in range(len(rows))],
            "acquisition_year": 2015,
            "location_setting": [("inpatient", "emergency", "outpatient")[place % 3] for place in range(len(rows))],
            "race_ethnicity": "unknown",
            "most_recent_ecg": [row["most"] for row in rows],
            "split": of_row,
            "ventricular_rate": 75.0,
            **dict.fromkeys(SHD_FLAGS, 0),
            "shd_moderate_or_greater_flag": [int(row["lvef"] <= 45) for row in rows],
            "aortic_stenosis_value": ["presumed none" if place % 2 else "" for place in range(len(rows))],
            "ivs_measurement": 1.1,
            "lvpw_measurement": 0.9,
            "pasp_value": [30.0 if place % 3 else np.nan for place in range(len(rows))],
            "tr_max_velocity_value": np.nan,
            "lvef_value": [row["lvef"] if place % 9 else np.nan for place, row in enumerate(rows)],
        }
    )
    table["lvef_lte_45_flag"] = table["shd_moderate_or_greater_flag"]
    name = "EchoNext_metadata_100k.csv" if words else "echonext_metadata_100k.csv"
    table.to_csv(folder / name)  # with its unnamed index
    return signals_ENL


def normalisation(file: Path, **more: str | list[str]) -> Path:
    """EchoNext's published normalisation, which states no unit."""
    bounds = {"lowerbound": [-500.0] * 12, "upperbound": [500.0] * 12}
    file.write_text(json.dumps({"mean": MEAN_L.tolist(), "std": STD_L.tolist(), **bounds, **more}))
    return file


def code15(folder: Path, *, exams: int = 60) -> dict[str, np.ndarray]:
    """`exams.csv`, two parts and a third that is absent; the (N, L) millivolt of each exam that is there.

    A part's rows stand in another order than the table's; the last is all zeros; ECGs have zeros at both ends.
    """
    draw = np.random.default_rng(5)
    folder.mkdir(parents=True)
    ids = draw.permutation(np.arange(1000, 1000 + exams))
    part_of = {int(exam): f"exams_part{place % 2}.hdf5" for place, exam in enumerate(ids)}
    signals: dict[str, np.ndarray] = {}
    lvef_of = {int(exam): LVEF[int(exam) % 4] for exam in ids}
    for part in ("exams_part0.hdf5", "exams_part1.hdf5"):
        there = draw.permutation([exam for exam in part_of if part_of[exam] == part])
        tracings_ENL = np.zeros((len(there) + 1, 4096, 12), np.float32)
        for row, exam in enumerate(there):
            tracings_ENL[row, 648:3448] = ecg_mv(lvef_of[int(exam)], 400, 7, draw)
            signals[str(exam)] = tracings_ENL[row]
        with h5py.File(folder / part, "w") as file:
            file["exam_id"] = np.append(there, 0).astype(np.int64)
            file["tracings"] = tracings_ENL
    listed = [*part_of, 5000]
    table = pd.DataFrame(
        {
            "exam_id": listed,
            "age": 55,
            "is_male": [bool(exam % 2) for exam in listed],
            "nn_predicted_age": 54.3,
            **{
                name: [lvef_of.get(exam, 60) < 50 and exam % 3 == 0 for exam in listed]
                for name in ("1dAVb", "RBBB", "LBBB", "SB", "ST")
            },
            "AF": [lvef_of.get(exam, 60) < 50 for exam in listed],
            "patient_id": [exam // 2 for exam in listed],
            "death": ["" if exam % 2 else "False" for exam in listed],
            "timey": "",
            "normal_ecg": [lvef_of.get(exam, 60) >= 50 for exam in listed],
            "trace_file": [part_of.get(exam, "exams_part17.hdf5") for exam in listed],
        }
    )
    table.to_csv(folder / "exams.csv", index=False)
    return signals


def ptb_xl(folder: Path, *, ecgs: int = 40, folds: tuple[int, ...] = tuple(range(1, 11))) -> None:
    """The two tables and both folders of records; ids of patients as floats, leads in capitals, one file absent.

    Every two ECGs are of one patient, whose fold is the next of `folds`, over and over.
    """
    draw, rows = np.random.default_rng(7), []
    folder.mkdir(parents=True)
    for number in range(ecgs):
        ecg, patient = number + 1, number // 2
        mixed = patient + patient // 10
        lvef = LVEF[mixed % 4]
        names = {rate: f"records{rate}/00000/{ecg:05d}_{'hr' if rate == 500 else 'lr'}" for rate in (500, 100)}
        signal_NL = ecg_mv(lvef, 500, 10, draw)
        if ecg != ecgs:
            for rate, name in names.items():
                write_wfdb(folder / name, signal_NL[:: 500 // rate], rate)
        rows.append(
            {
                "ecg_id": ecg,
                "patient_id": f"{15000 + patient}.0",
                "age": 300.0 if number == 0 else 56.0,
                "sex": number % 2,
                "site": "0.0",
                "device": "CS-12   E",
                "recording_date": f"1984-11-{1 + number % 28:02d} 09:17:34",
                "scp_codes": str(
                    ({"IMI": 35.0, "SR": 0.0} if lvef < 50 else {"NORM": 100.0, "ABQRS": 0.0})
                    | ({"NDT": 100.0} if mixed % 3 == 1 else {})
                    | ({"IRBBB": 80.0} if patient % 7 < 3 else {})
                    | ({"LVH": 50.0} if patient % 7 > 3 else {})
                ),
                "baseline_drift": " , I-V1,  " if number == 1 else "",
                "static_noise": "",
                "burst_noise": "alles" if number == 2 else "",
                "electrodes_problems": "",
                "extra_beats": "1ES" if number == 3 else "",
                "pacemaker": "ja, pacemaker" if number == 4 else "",
                "strat_fold": folds[patient % len(folds)],
                "filename_lr": names[100],
                "filename_hr": names[500],
            }
        )
    pd.DataFrame(rows).to_csv(folder / "ptbxl_database.csv", index=False)
    statements = {"": ["NORM", "IMI", "NDT", "IRBBB", "LVH", "ABQRS", "SR"], "diagnostic": [*["1.0"] * 5, "", ""]}
    classes = {
        "form": ["", "", "1.0", "", "", "1.0", ""],
        "rhythm": [*[""] * 6, "1.0"],
        "diagnostic_class": ["NORM", "MI", "STTC", "CD", "HYP", "", ""],
    }
    pd.DataFrame(statements | classes).to_csv(folder / "scp_statements.csv", index=False)


def write_wfdb(base: Path, signal_NL: np.ndarray, rate_hz: int) -> None:
    base.parent.mkdir(parents=True, exist_ok=True)
    base.with_suffix(".dat").write_bytes(np.round(signal_NL * 1000).astype("<i2").tobytes())
    leads = [lead.upper() for lead in STANDARD_LEADS]
    lines = [
        f"{base.name} 12 {rate_hz} {len(signal_NL)}",
        *(f"{base.name}.dat 16 1000.0(0)/mV 16 0 0 0 0 {lead}" for lead in leads),
    ]
    base.with_suffix(".hea").write_text("\n".join(lines) + "\n")


def uk_biobank(folder: Path, *, people: int = 32) -> Path:
    """XML files in folders by the first figures of the eid, one repeat visit, an exercise ECG; the table of labels."""
    draw, rows = np.random.default_rng(11), []
    for number in range(people):
        eid, lvef = 1000000 + number, LVEF[number % 4]
        (folder / f"{eid % 2}").mkdir(parents=True, exist_ok=True)
        for instance in (2, 3) if number == 0 else (2,):
            xml = cardiosoft_xml(ecg_mv(lvef, 500, 4, draw).T, resolution=5)
            (folder / f"{eid % 2}" / f"{eid}_20205_{instance}_0.xml").write_bytes(xml.encode("iso-8859-1"))
        rows.append({"eid": eid, "p31": number % 2, "p21003_i2": 61, "p22420_i2": lvef, "p22421_i2": 120})
    (folder / "0" / "1000000_6025_0_0.xml").write_text("<CardiologyXML/>")
    table = folder.with_name("labels.csv")
    pd.DataFrame([*rows[1:], {"eid": 9999999, "p31": "", "p22420_i2": 55}]).to_csv(table, index=False)
    return table
