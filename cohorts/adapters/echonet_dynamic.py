"""EchoNet-Dynamic: 10,030 apical four-chamber clips as AVI, one a patient, with volumes, and no ECGs.

`FileList.csv` (FileName without suffix, EF, ESV, EDV, Split) beside `Videos/`. There are no dates, ages or sexes, nor
patients' ids: a clip is its own patient and study. Splits are the data set's own: TRAIN, VAL, TEST.
"""

from __future__ import annotations

import pandas as pd

from cohorts.adapters.base import DataSet, Gathered, Source, found_or_refused, left_out
from cohorts.adapters.cells import check_ids, check_numbers, refuse_rows, worded
from cohorts.adapters.source_tables import read_source_table
from cohorts.adapters.there import files_there
from cohorts.tables import CohortError

_TABLE, _FOLDER = "FileList.csv", "Videos"
_SPLITS = {"train": "train", "val": "val", "test": "test"}


def _gather(source: Source) -> Gathered:
    path = found_or_refused(source.folder, _TABLE, "EchoNet-Dynamic")
    table = read_source_table(path, ("FileName", "EF", "ESV", "EDV", "Split"))
    names = table["FileName"].str.removesuffix(".avi")
    check_ids(names, "FileName", path.name)
    check_numbers(table, ("EF", "ESV", "EDV"), path.name)
    split = worded(table["Split"], _SPLITS, "Split", path.name)
    refuse_rows("split_missing", "Split is empty", path.name, split == "")
    files = _FOLDER + "/" + names + ".avi"
    there = files_there(path.parent, files, source)
    if not there.any():
        sentence = f"None of the {len(there)} clips that {path.name} lists is in {_FOLDER} beside it."
        raise CohortError("data_set_not_found", sentence, hint="Was the download unpacked to its end?")
    of_clip = pd.DataFrame({"patient_id": names, "study_id": names})[there].reset_index(drop=True)
    known = table[there].reset_index(drop=True)
    return Gathered(
        roots={"echo": path.parent},
        splits=of_clip[["patient_id"]].assign(split=split[there].to_numpy()),
        echos=of_clip.assign(view_id="a4c", path="echo:" + files[there].to_numpy(), view="A4C"),
        studies=of_clip.assign(lvef_percent=known["EF"], lvedv_ml=known["EDV"], lvesv_ml=known["ESV"]),
        about={
            "splits": "the data set's own: TRAIN, VAL and TEST",
            "lvef": "EF, from the volumes EDV and ESV that were traced in the clip",
            "times": "none",
        },
        skipped=tuple(left_out("the file is not there", path.name, ~there)),
    )


ECHONET_DYNAMIC = DataSet(
    "echonet-dynamic",
    "EchoNet-Dynamic: four-chamber clips as AVI, no ECGs",
    _gather,
    licence="Stanford University School of Medicine EchoNet-Dynamic Dataset Research Use Agreement",
    citation="Ouyang et al., Video-based AI for beat-to-beat assessment of cardiac function, Nature 580, 252, 2020.",
)
