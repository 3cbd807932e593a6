"""CAMUS: 500 patients, an apical two-chamber and a four-chamber sequence each, with volumes, and no ECGs.

`database_nifti/patient0001/` with `Info_2CH.cfg`, `Info_4CH.cfg` (`Key: value`) and
`patient0001_2CH_half_sequence.nii.gz`; the older release has `patient0001_2CH_sequence.mhd` with its `.raw`. NIfTI
needs nibabel (the extra `camus`). Clips are written as lossless AVI into the cohort, each read in a child that may be
killed; what is whole there already is not read again. There are no dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.adapters.base import DataSet, Gathered, Skipped, Source, found_below, splits_by_hash
from cohorts.tables import CohortError
from ground.disk import short_name_of, written_whole
from ground.extras import require
from inputs.echo.formats.base import sane_rate_hz
from inputs.errors import UnreadableFile
from inputs.guarded.reader import GuardedReader

_VIEWS = {"4CH": "A4C", "2CH": "A2C"}
_SEQUENCES = ("half_sequence.nii.gz", "sequence.nii.gz", "half_sequence.nii", "half_sequence.mhd", "sequence.mhd")
_SPLIT_FILES = {"train": "subgroup_training.txt", "val": "subgroup_validation.txt", "test": "subgroup_testing.txt"}
_SEXES = {"f": "female", "m": "male", "female": "female", "male": "male"}
_MOST_DEPTH = 4
_NO_RATE_HZ = 0.05
"""Of a clip whose cfg states none: no machine has it, so whoever reads the AVI takes the rate for unknown."""
_MOST_CFG_BYTES = 64 * 1024
_NUMBERS = {"lvef_percent": ("ef", "lvef"), "lvedv_ml": ("lvedv",), "lvesv_ml": ("lvesv",), "age": ("age",)}
_RATE = "framerate"


@dataclass(frozen=True)
class _Sequence:
    patient: str
    view: str
    file: Path
    cfg: dict[str, str]

    @property
    def rate_hz(self) -> float | None:
        """None where the cfg states none, or one that no machine has. Raises CohortError for text."""
        stated = _number(self.cfg, _RATE, self)
        return None if stated is None else sane_rate_hz(stated, every=1)

    @property
    def made_as(self) -> str:
        """The name of its AVI: another one once file or rate are others."""
        was = self.file.stat()
        said = f"{self.file} {was.st_size} {was.st_mtime_ns} {self.cfg.get(_RATE)}"
        return f"{self.patient}_{self.view}-{short_name_of(said)}.avi"


def _gather(source: Source) -> Gathered:
    sequences = [*_sequences(source.folder)]
    if not sequences:
        raise CohortError(
            "data_set_not_found",
            "There is no folder patient0001 with a patient0001_2CH_half_sequence.nii.gz in it, as CAMUS has them.",
            hint="Name the folder that database_nifti lies in.",
        )
    if any(".nii" in sequence.file.name for sequence in sequences):
        require("nibabel", "Reading CAMUS's NIfTI files")
    studies = pd.DataFrame([_study(of_one) for of_one in _by_patient(sequences)])
    split, without, told = _splits(source.folder, studies["patient_id"])
    with_split = {*split["patient_id"]}
    sequences = [sequence for sequence in sequences if sequence.patient in with_split]
    echos, unreadable = _clips(sequences, source)
    if echos.empty:
        raise CohortError("data_set_unreadable", f"None of the {len(sequences)} sequences can be read.")
    no_rate = sum(sequence.rate_hz is None for sequence in sequences)
    n_known = int(studies["lvef_percent"].notna().sum())
    return Gathered(
        roots={},
        splits=split,
        echos=echos,
        studies=studies[studies["patient_id"].isin(with_split)].reset_index(drop=True),
        about={
            "splits": told,
            "lvef": f"EF of the cfg (LVef in the older release): {n_known} of {len(studies)} patients",
            "times": "none",
            "frame_rate": f"FrameRate of the cfg; unknown of {no_rate} clips, whose cfg states none that a machine has",
            "clips": "written here as lossless AVI, pixel by pixel as they are stored",
        },
        skipped=(*without, *unreadable),
        own={"echos": ("image_quality",)},
    )


def _sequences(folder: Path) -> Iterator[_Sequence]:
    """In order of patients and views; of one view that lies there in several forms the first."""
    for here in _patient_folders(folder, _MOST_DEPTH):
        for view in _VIEWS:
            names = [f"{here.name}_{view}_{end}" for end in _SEQUENCES]
            file = next((here / name for name in names if (here / name).is_file()), None)
            if file is not None:
                yield _Sequence(here.name, view, file, _read_cfg(here / f"Info_{view}.cfg"))


def _patient_folders(folder: Path, depth: int) -> list[Path]:
    below = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    patients = [entry for entry in below if entry.name.startswith("patient") and entry.name[7:].isdecimal()]
    others = [entry for entry in below if entry not in patients] if depth > 1 else []
    return patients + [found for entry in others for found in _patient_folders(entry, depth - 1)]


def _read_cfg(path: Path) -> dict[str, str]:
    """Keys in small letters; nothing of a file that is not there."""
    if not path.is_file() or path.stat().st_size > _MOST_CFG_BYTES:
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key.strip().lower(): value.strip() for key, colon, value in pairs if colon}


def _by_patient(sequences: Iterable[_Sequence]) -> list[list[_Sequence]]:
    of: dict[str, list[_Sequence]] = {}
    for sequence in sequences:
        views = of.setdefault(sequence.patient, [])
        if any(other.view == sequence.view for other in views):
            sentence = f"{sequence.file.name} lies in more than one folder."
            raise CohortError("id_twice", sentence, hint="Import one release of CAMUS at a time.")
        views.append(sequence)
    return list(of.values())


def _study(views: list[_Sequence]) -> dict[str, object]:
    """What the cfgs of a patient's views say of the heart, the four-chamber one first."""
    patient = views[0].patient
    numbers = {
        column: next(
            (value for view in views for key in keys if (value := _number(view.cfg, key, view)) is not None), None
        )
        for column, keys in _NUMBERS.items()
    }
    sexes = (_SEXES.get(view.cfg.get("sex", "").lower(), "") for view in views)
    return {"patient_id": patient, "study_id": patient, "sex": next(filter(None, sexes), ""), **numbers}


def _number(cfg: dict[str, str], key: str, of: _Sequence) -> float | None:
    text = cfg.get(key, "")
    if not text or text.lower() in ("nan", "none"):
        return None
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        sentence = f"{key} in Info_{of.view}.cfg of {of.file.parent.name} is not a number."
        raise CohortError("number_unreadable", sentence)
    return number


def _splits(folder: Path, patients: pd.Series) -> tuple[pd.DataFrame, list[Skipped], str]:
    """The data set's own where its files of subgroups are there, else by a hash; patients in none of them."""
    files = {split: found_below(folder, name) for split, name in _SPLIT_FILES.items()}
    if not any(files.values()):
        told = "by a hash of the patient's id: of 100 about 70 train, 10 val, 10 calibration, 10 test"
        return splits_by_hash(patients), [], f"{told}; there are no subgroup_*.txt"
    rows = [
        (line.strip(), split)
        for split, file in files.items()
        if file is not None
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    table = pd.DataFrame(rows, columns=["patient_id", "split"])
    table = table[table["patient_id"].isin(patients)].reset_index(drop=True)
    n_without = int((~patients.isin(table["patient_id"])).sum())
    without = [Skipped("no subgroup_*.txt names it", "patients", n_without)] if n_without else []
    return table, without, "the data set's own, of subgroup_*.txt"


def _clips(sequences: list[_Sequence], source: Source) -> tuple[pd.DataFrame, list[Skipped]]:
    """A row for each sequence that could be read, its AVI in `source.made`, and how many could not be and why."""
    source.made.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    why: dict[str, int] = {}
    with GuardedReader() as reader:
        for done, sequence in enumerate(sequences, start=1):
            made = source.made / sequence.made_as
            try:
                if not made.is_file():
                    frames_THW = reader.read_stack(sequence.file).frames_THWC[..., 0]
                    _write_avi(made, frames_THW, sequence.rate_hz or _NO_RATE_HZ)
            except UnreadableFile as error:
                why[error.sentence] = why.get(error.sentence, 0) + 1
            else:
                rows.append(_echo(sequence, f"{source.made.name}/{made.name}"))
            source.progress(done, len(sequences), "clips written")
    _remove_others(source.made, {row["path"].rpartition("/")[2] for row in rows})
    return pd.DataFrame(rows), [Skipped(f"cannot be read: {said}", "sequences", n) for said, n in why.items()]


def _echo(sequence: _Sequence, path: str) -> dict[str, str]:
    return {
        "patient_id": sequence.patient,
        "study_id": sequence.patient,
        "view_id": sequence.view,
        "path": path,
        "view": _VIEWS[sequence.view],
        "image_quality": sequence.cfg.get("imagequality", "").lower(),
    }


def _write_avi(path: Path, frames_THW: NDArray[np.uint8], rate_hz: float) -> None:
    """FFV1 of greys, which gives back every pixel as it was."""
    with written_whole(path) as file, av.open(file, "w", format="avi") as container:
        stream = container.add_stream("ffv1", rate=Fraction(rate_hz).limit_denominator(10_000))
        stream.height, stream.width = frames_THW.shape[1:]
        stream.pix_fmt = "gray"
        for frame_HW in frames_THW:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HW), format="gray")))
        container.mux(stream.encode())


def _remove_others(folder: Path, names: set[str]) -> None:
    """What an earlier attempt made of files that have changed since."""
    for entry in folder.iterdir():
        if entry.name not in names:
            entry.unlink()


CAMUS = DataSet(
    "camus",
    "CAMUS: two- and four-chamber sequences as NIfTI or MetaImage, no ECGs",
    _gather,
    citation="Leclerc et al., Deep learning for segmentation using an open large-scale dataset in 2D "
    "echocardiography, IEEE Transactions on Medical Imaging 38, 2198, 2019.",
)
