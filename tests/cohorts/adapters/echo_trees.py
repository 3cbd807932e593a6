"""Downloaded echo data sets in small: invented files in the shape of each, with what is messy about it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
from echo_files import write_dicom, write_video
from stack_files import greys, nifti_bytes, write_metaimage

MIMIC_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""aVF before aVL, as in every header of MIMIC-IV-ECG."""
PATIENTS = 20


def moving_disc(seed: int, n_frames: int = 4, side: int = 48) -> np.ndarray:
    """(T, H, W, 3) uint8: a bright disc that shrinks, of a size of its own for each seed."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radii = (0.3 + 0.02 * seed) * np.linspace(1, 0.6, n_frames)
    frames = np.stack([np.where(np.hypot(x, y) < radius, 200, 20) for radius in radii]).astype(np.uint8)
    return np.repeat(frames[..., None], 3, axis=3)


def write_ecg(path: Path, seed: int, leads: tuple[str, ...] = MIMIC_LEADS) -> None:
    """Ten seconds at 500 Hz and 200 a millivolt, a header and its signal file."""
    draw = np.random.default_rng(seed)
    time_s = np.arange(5000) / 500
    beat = np.exp(-0.5 * (((time_s % 0.8) - 0.35) / 0.02) ** 2)
    one, two, *chest = draw.uniform(0.4, 1.2, 8)[:, None] * beat + 0.01 * draw.standard_normal((8, 5000))
    limb = {"I": one, "II": two, "III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    signal = {**limb, **{f"V{i}": lead for i, lead in enumerate(chest, start=1)}}
    counts = np.round(np.stack([signal[lead] for lead in leads]) * 200).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".dat").write_bytes(counts.T.tobytes())
    lines = [f"{path.stem} 12 500 5000"]
    lines += [
        f"{path.stem}.dat 16 200.0(0)/mV 16 0 {row[0]} 0 0 {lead}" for row, lead in zip(counts, leads, strict=True)
    ]
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n")


def subject(patient: int) -> str:
    return str(10_000_000 + 111_111 * patient)


def mimic_ecg(folder: Path) -> Path:
    """An ECG for each patient, the day before the echo; two for the first."""
    rows = []
    for number in [*range(PATIENTS), 0]:
        who, study = subject(number), str(40_000_000 + len(rows))
        path = f"files/p{who[:4]}/p{who}/s{study}/{study}"
        write_ecg(folder / path, len(rows))
        rows.append((who, study, study, f"2180-03-{1 + number:02d} 08:44:{len(rows):02d}", path))
    columns = ["subject_id", "study_id", "file_name", "ecg_time", "path"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "record_list.csv", index=False)
    return folder


def mimic_echo(folder: Path, *, measured: bool = True) -> Path:
    """A study of two clips for each patient; with `measured` as of 1.x, columns in another order, else as of 0.1."""
    clips, studies = [], []
    for number in range(PATIENTS):
        who, study = subject(number), str(90_000_000 + number)
        when = f"2180-03-{2 + number:02d} 10:00:00"
        for clip in (1, 2):
            path = f"files/p{who[:2]}/p{who}/s{study}/{study}_{clip:04d}.dcm"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            frames = moving_disc(number)
            write_dicom(folder / path, frames, frames.tobytes(), FrameTime=33.3)
            clips.append((who, study, when, path))
        studies.append((who, study, when))
    names = ["subject_id", "study_id", "acquisition_datetime", "dicom_filepath"]
    pd.DataFrame(clips, columns=names).to_csv(folder / "echo-record-list.csv", index=False)
    table = pd.DataFrame(studies, columns=["subject_id", "study_id", "study_datetime"])
    if not measured:
        table["note_id"], table["note_seq"], table["note_charttime"] = "", "", ""
    else:
        numbers = np.arange(PATIENTS)
        table["measurement_id"] = np.where(numbers == 3, "", (7_000_000 + numbers).astype(str))
        table["measurement_datetime"] = table["study_datetime"]
        table = table[[*table.columns[::-1]]]
        write_measurements(folder / "structured-measurement.csv.gz")
    table.to_csv(folder / "echo-study-list.csv", index=False)
    return folder


RESULTS: dict[int, list[tuple[str, str, str]]] = {
    0: [("lvef", "50", "%"), ("lvef_upper", "60 %", "%"), ("septal_thickness", "14", "mm"),
        ("inf_lat_thickness", "1.1", "cm"), ("aortic_stenosis", "Mild to moderate", "")],
    1: [("biplane_lvef", "38", "%"), ("lvef_3d", "41", "%"), ("tapse", "18", "cm"), ("tr_velocity", "3.2", "m/s"),
        ("mitral_regurg", "MODERATE-SEVERE", ""), ("rv_function", "Moderate global RV hypokinesis", "")],
    2: [("lvef", "about half", "%"), ("rest_lvef", "45", "%"), ("tr_mmhg", "40", "mmHg"),
        ("ivc", "IVC<=2.1cm, <50% collapse (5-10mmHg)", ""), ("pulm_regurg", "Significant", "")],
    3: [("lvef_upper", "55", "%"), ("septal_thickness", "0.9", "cm"), ("inf_lat_thickness", "0.8", "cm"),
        ("tricuspid_regurg", "Physiologic", ""), ("pericardial_effusion", "Moderate", "")],
    4: [("stress_lvef", "70", "%"), ("lvef", "550", "%"), ("aortic_regurg", "Cannot assess", ""),
        ("mitral_regurg", "Present", ""), ("aortic_stenosis", "None, incr vel high output", ""),
        ("av_pk_vel", "3.4", "m/s"), ("tr_mmhg", "20", "mmHg")],
}  # fmt: skip
"""What was measured of the first patients: measurement, result, unit. All others have an LVEF and three grades."""
STRESSED = 5


def write_measurements(path: Path, results: dict[int, list[tuple[str, str, str]]] = RESULTS) -> None:
    """Their examinations, one of another patient, and of patient 3, whose study names none, one on the day before."""
    columns = ["subject_id", "measurement_id", "measurement_datetime", "test_type", "measurement",
               "measurement_description", "result", "unit"]  # fmt: skip
    grades = [("aortic_stenosis", "None", ""), ("mitral_regurg", "Mild", ""), ("pericardial_effusion", "Large", "")]
    rows = []
    for number in range(PATIENTS):
        kind = "stress" if number == STRESSED else ("tte", "TEE", "tte")[number % 3]
        when = f"2180-03-{2 + number:02d} 11:30:00"
        for name, result, unit in results.get(number, [("lvef", str(30 + 2 * number), "%"), *grades]):
            rows.append((subject(number), str(7_000_000 + number), when, kind, name, "", result, unit))
    rows.append(("19999999", "7999999", "2180-03-02 10:00:00", "tte", "lvef", "", "33", "%"))
    rows.append((subject(3), "7888888", "2180-03-04 09:00:00", "tte", "lvef", "", "20", "%"))
    with gzip.open(path, "wt") as file:
        pd.DataFrame(rows, columns=columns).to_csv(file, index=False)


def echonet(folder: Path, patients: int = PATIENTS) -> Path:
    """A clip for each patient; of every four two are for training."""
    (folder / "Videos").mkdir(parents=True)
    rows = []
    for number in range(patients):
        name = f"0X{number:016X}"
        write_video(folder / "Videos" / f"{name}.avi", moving_disc(number), "avi")
        split = ("TRAIN", "TRAIN", "VAL", "TEST")[number % 4]
        rows.append((name, 40.5 + number, 50 - number, 100 + number, 48, 48, 50, 4, split))
    columns = ["FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "FileList.csv", index=False)
    pd.DataFrame(columns=["FileName", "X1", "Y1", "X2", "Y2", "Frame"]).to_csv(folder / "VolumeTracings.csv")
    return folder


def camus(folder: Path, patients: int = 6, *, subgroups: bool = True) -> Path:
    """NIfTI as it is downloaded now: the sequences in `database_nifti`, the splits in `database_split`."""
    names = [f"patient{number + 1:04d}" for number in range(patients)]
    for number, name in enumerate(names):
        here = folder / "database_nifti" / name
        here.mkdir(parents=True)
        for view, shift in (("2CH", 0), ("4CH", 100)):
            content = gzip.compress(nifti_bytes(greys(number + shift // 25)), mtime=0)
            (here / f"{name}_{view}_half_sequence.nii.gz").write_bytes(content)
            quality = ("Good", "Medium", "Poor")[number % 3]
            (here / f"Info_{view}.cfg").write_text(
                f"ED: 1\nES: 5\nNbFrame: 5\nSex: {'FM'[number % 2]}\nAge: {60 + number}\n"
                f"ImageQuality: {quality}\nEF: {40 + number}\nFrameRate: 51.25\n"
            )
    if subgroups:
        (folder / "database_split").mkdir()
        for split, first in (("training", 0), ("validation", 1), ("testing", 2)):
            lines = "\r\n".join(names[first::3]) + "\r\n"
            (folder / "database_split" / f"subgroup_{split}.txt").write_text(lines, newline="")
    return folder


def camus_of_old(folder: Path, *, compressed: bool = False) -> Path:
    """A patient of the older release: MetaImage, volumes in the cfg, no rate."""
    here = folder / "training" / "patient0007"
    here.mkdir(parents=True)
    for view in ("2CH", "4CH"):
        write_metaimage(here, f"patient0007_{view}_sequence", greys(3), compressed=compressed)
        text = "ED: 1\nES: 5\nNbFrame: 5\nSex: M\nAge: 61\nImageQuality: Poor\nLVedv: 110.0\nLVesv: 49.5\nLVef: 55\n"
        (here / f"Info_{view}.cfg").write_text(text)
    return folder
