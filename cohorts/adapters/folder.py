"""Any folder of ECGs and echos, with a CSV that says whose they are: what a hospital or a laboratory has.

A row of the CSV names an ECG (`ecg_path`), an echo (`echo_path`: a clip, or a folder with the clips of a study) or
both. What stands in one row belongs together: its ECG names its study, whatever the times, and of several the nearest.
Rows of the same study are put together, and what they say of it must agree; age and sex alone make none. Paths start at
the folder, or at the roots `ecg` and `echo`. Other columns of the CSV are kept beside ECGs or studies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cohorts.adapters.base import DataSet, Gathered, Skipped, Source, left_out, splits_by_hash
from cohorts.adapters.cells import refuse_rows
from cohorts.adapters.own_columns import by_table, with_own
from cohorts.adapters.own_table import LABELS, NEEDED, read_own_table
from cohorts.adapters.told_apart import ecgs_and_studies
from cohorts.tables import ECG_GROUPS, CohortError
from ground.disk import short_name_of
from inputs.echo.studies import studies_in
from inputs.errors import UnreadableFile

_OF_PATIENT = ("age", "sex")
_FINDINGS = tuple(column for column in LABELS if column not in _OF_PATIENT)
_MOST_ID_LETTERS = 100
_LOOKED_FOR_AT_ONCE = 100


def _gather(source: Source) -> Gathered:
    if "table" not in source.files:
        n_ecgs, n_studies = ecgs_and_studies(source.folder)
        sentence = f"The folder holds {n_ecgs} ECGs and {n_studies} echo studies, and nothing says whose they are."
        raise CohortError("table_needed", sentence, hint=NEEDED)
    path = source.files["table"]
    table, own, unkept, told_ids = read_own_table(path, source.columns)
    places = {name: source.roots.get(name, source.folder) for name in ("ecg", "echo")} | dict(source.roots)
    for column, root in (("ecg_path", "ecg"), ("echo_path", "echo")):
        table[column] = _below_roots(table[column], root, places, column, path.name)

    ecg_file = table["ecg_path"].map(lambda named: _ecg_file(named, places))
    clips, why = _clips(table["echo_path"], places, source)
    _check_any(path.name, ecg_file, clips, table)
    skipped = [
        *left_out("the ECG's file is not there", path.name, (table["ecg_path"] != "") & (ecg_file == "")),
        *[said for reason in sorted({*why} - {""}) for said in left_out(reason, path.name, why == reason)],
    ]
    of_heart = (table[list(_FINDINGS)] != "").any(axis=1) | (table["study_id"] != "") | (table["echo_time"] != "")
    has_study = of_heart | (clips.map(len) > 0)
    study = _study_ids(table, clips).where(has_study, "")
    idle = ~has_study & (ecg_file == "") & (table["ecg_path"] == "") & (table["echo_path"] == "")
    skipped += left_out("it names no ECG, no echo and no finding", path.name, idle)
    of_nobody = (table[list(_OF_PATIENT)] != "").any(axis=1) & ~idle
    of_nobody &= ~table["patient_id"].isin(table["patient_id"][has_study])
    skipped += left_out("its age and sex: kept with studies, and the patient has none", path.name, of_nobody)
    ecg = table["ecg_id"].where(table["ecg_id"] != "", _ids_of(ecg_file)).where(ecg_file != "", "")
    _check_ecg_ids(table, ecg_file, ecg, path.name)
    stated = _stated(table, ecg, study)
    elsewhere = (ecg != "") & (study != "") & (ecg.map(stated) != study)
    reason = "its pair: an ECG has one study, and of those that its rows name another is nearer or comes first"
    skipped += left_out(reason, path.name, elsewhere)
    ecgs = _ecgs(table, ecg_file, ecg)
    ecgs["study_id"] = [stated.get(ecg_id, "") for ecg_id in ecgs["ecg_id"]]
    beside, more = by_table(own, {"ecgs": ecg, "studies": study}, path.name)
    skipped += more
    if unkept:
        words = f"columns that come twice or whose names no label can have: {', '.join(unkept[:10])}"
        skipped.append(Skipped(words, path.name, len(unkept)))
    split, told = _splits(table, path.name)
    return Gathered(
        roots=places,
        splits=split,
        ecgs=with_own(ecgs, "ecgs", beside),
        echos=_echos(table, clips, study) if clips.map(len).any() else None,
        studies=with_own(_studies(table[has_study], study[has_study], path.name), "studies", beside)
        if has_study.any()
        else None,
        about={"splits": told, "pairs": _told_pairs(ecgs), "columns": dict(source.columns), **told_ids},
        skipped=tuple(skipped),
        own={name: tuple(map(str, columns)) for name, columns in beside.items()},
    )


def _below_roots(named: pd.Series, root: str, places: Mapping[str, Path], column: str, table: str) -> pd.Series:
    """Each path with the root that it starts at; an absolute one must lie below a root."""

    def placed(path: str) -> str:
        if not path or path.partition(":")[0] in places:
            return path
        if not path.startswith("/"):
            return f"{root}:{path.removeprefix('./')}"
        for name, folder in places.items():
            if Path(path).is_relative_to(folder.absolute()):
                return f"{name}:{Path(path).relative_to(folder.absolute()).as_posix()}"
        return "outside"

    found = named.map(placed)
    hint = "Name the folder that they are in with --root, such as --root ecg=DIR."
    refuse_rows("path_outside", f"{column} lies in none of the folders", table, found == "outside", hint=hint)
    return found


def _file(named: str, places: Mapping[str, Path]) -> Path:
    root, _, rest = named.partition(":")
    return places[root] / rest


def _ecg_file(named: str, places: Mapping[str, Path]) -> str:
    """The path of an ECG's file, of WFDB its header's, whichever of its files was named; empty where none is there."""
    candidates = [named.removesuffix(".dat") + ".hea", named] if named.endswith(".dat") else [named, named + ".hea"]
    return next((each for each in candidates if named and os.path.isfile(_file(each, places))), "")


def _clips(named: pd.Series, places: Mapping[str, Path], source: Source) -> tuple[pd.Series, pd.Series]:
    """For each row the paths of its clips, and why it has none although it names an echo (else empty)."""
    clips: list[list[str]] = []
    why: list[str] = []
    for done, path in enumerate(named, start=1):
        found, reason = _clips_of(path, places) if path else ([], "")
        clips.append(found)
        why.append(reason)
        if done % _LOOKED_FOR_AT_ONCE == 0 or done == len(named):
            source.progress(done, len(named), "echos looked for")
    return pd.Series(clips, index=named.index, dtype=object), pd.Series(why, index=named.index, dtype=object)


def _clips_of(path: str, places: Mapping[str, Path]) -> tuple[list[str], str]:
    there = _file(path, places)
    if os.path.isfile(there):  # also asked of names that no file can have
        return [path], ""
    if not os.path.isdir(there):
        return [], "the echo's file or folder is not there"
    try:
        studies = studies_in(there)
    except UnreadableFile as error:
        return [], f"the echo's folder cannot be searched: {error.sentence}"
    if len(studies) > 1:
        return [], "the echo's folder holds several studies; name one a row"
    files = [f"{path.rstrip('/')}/{file.relative_to(there).as_posix()}" for file in studies[0].files]
    return files, "" if files else "the echo's folder holds no clips"


def _check_any(table: str, ecg_file: pd.Series, clips: pd.Series, rows: pd.DataFrame) -> None:
    n_named = int(((rows["ecg_path"] != "") | (rows["echo_path"] != "")).sum())
    if not (ecg_file != "").any() and not clips.map(len).any():
        sentence = f"Of the files of {n_named} rows of {table} none is there."
        raise CohortError(
            "files_missing", sentence, hint="Paths start at SRC, or at --root ecg=DIR and --root echo=DIR."
        )


def _study_ids(table: pd.DataFrame, clips: pd.Series) -> pd.Series:
    """The table's own where it has one; else a patient's clips of one time, or of one folder, are a study."""
    named = zip(table["echo_path"], clips, strict=True)
    folder = pd.Series([_folder_of(path) if found == [path] else path for path, found in named], index=table.index)
    apart = table["echo_time"].where(table["echo_time"] != "", folder).where(lambda said: said != "", table["ecg_path"])
    made = [f"study-{short_name_of(f'{who} {what}')}" for who, what in zip(table["patient_id"], apart, strict=True)]
    return table["study_id"].where(table["study_id"] != "", pd.Series(made, index=table.index))


def _folder_of(path: str) -> str:
    root, colon, inner = path.partition(":")
    return f"{root}{colon}{inner.rpartition('/')[0]}"


def _ecgs(table: pd.DataFrame, file: pd.Series, ecg: pd.Series) -> pd.DataFrame:
    """A row for each ECG, also where several rows name it."""
    columns = {"patient_id": table["patient_id"], "ecg_id": ecg, "acquired_at": table["ecg_time"], "path": file}
    rows = pd.DataFrame({**columns, **{name: table[name] for name in ECG_GROUPS}})[file != ""]
    return rows.drop_duplicates(["patient_id", "ecg_id", "acquired_at", "path"]).reset_index(drop=True)


def _stated(table: pd.DataFrame, ecg: pd.Series, study: pd.Series) -> pd.Series:
    """By ecg_id the study that it stands in a row with: of several the nearest, the first where no time tells."""
    at_ecg, at_echo = table["ecg_time"], table["echo_time"].groupby(study).transform("max")  # of all rows of the study
    apart = (
        pd.to_datetime(at_ecg, format="ISO8601", utc=True) - pd.to_datetime(at_echo, format="ISO8601", utc=True)
    ).abs()
    pairs = pd.DataFrame({"ecg": ecg, "study": study, "apart": apart})[(ecg != "") & (study != "")]
    return pairs.sort_values("apart", kind="stable").drop_duplicates("ecg").set_index("ecg")["study"]


def _ids_of(paths: pd.Series) -> pd.Series:
    """See `_id_of`; a short name of each of several files that would have one id, such as `a/b.hea` and `a_b.hea`."""
    ids = paths.map(_id_of)
    several = paths.groupby(ids).transform("nunique") > 1
    return ids.where(~several, paths.map(lambda path: f"file-{short_name_of(path)}"))


def _id_of(path: str) -> str:
    """A path without its root and suffix as an id, or a short name of it where it is long."""
    inner = path.partition(":")[2]
    plain = inner.rpartition(".")[0] if "." in inner.rpartition("/")[2] else inner
    named = plain.replace("/", "_").strip()
    return named if len(named) <= _MOST_ID_LETTERS else f"file-{short_name_of(path)}"


def _echos(table: pd.DataFrame, clips: pd.Series, study: pd.Series) -> pd.DataFrame:
    """A row for each clip, also where several rows name it. Views are named by their files."""
    rows = pd.DataFrame(
        {
            "patient_id": table["patient_id"],
            "study_id": study,
            "acquired_at": table["echo_time"],
            "path": clips,
            "view": table["view"],
        }
    )
    rows = rows.explode("path").dropna(subset="path").drop_duplicates(["study_id", "path"])
    stem = rows["path"].map(lambda path: _id_of(":" + path.rpartition("/")[2]))
    again = rows.assign(stem=stem).duplicated(["study_id", "stem"], keep=False)
    return rows.assign(view_id=stem.where(~again, rows["path"].map(_id_of))).reset_index(drop=True)


def _studies(table: pd.DataFrame, study: pd.Series, name: str) -> pd.DataFrame:
    """A row for each study. Raises CohortError where its rows say different things of it."""
    said = table.assign(study_id=study, acquired_at=table["echo_time"])
    for column in ("patient_id", "acquired_at", *LABELS):
        known = said[column].where(said[column] != "")
        differs = known.groupby(said["study_id"]).transform("nunique") > 1
        rows = differs.reindex(range(int(table.index.max()) + 1), fill_value=False) if len(table) else differs
        refuse_rows("study_differs", f"Rows of one study say different things of its {column}", name, rows)
        said[column] = known.groupby(said["study_id"]).transform("first").fillna("")
    columns = ["patient_id", "study_id", "acquired_at", *LABELS]
    return said.drop_duplicates("study_id")[columns].reset_index(drop=True)


def _check_ecg_ids(table: pd.DataFrame, file: pd.Series, ecg: pd.Series, name: str) -> None:
    """Raises CohortError where an ecg_id stands for ECGs of several patients, times or files."""
    said = pd.DataFrame({"ecg_id": ecg, "patient_id": table["patient_id"], "ecg_time": table["ecg_time"], "path": file})
    for column in ("patient_id", "ecg_time", "path"):
        what = "file" if column == "path" else column
        _refuse_differing(said, "ecg_id", column, "id_twice", f"The same ecg_id stands in rows of another {what}", name)


def _refuse_differing(table: pd.DataFrame, of: str, column: str, code: str, sentence: str, name: str) -> None:
    """Raises CohortError with all rows of an `of` that say different things in a column, empty cells left out."""
    known = (table[of] != "") & (table[column] != "")
    several = table[column].where(known).groupby(table[of]).transform("nunique") > 1
    refuse_rows(code, sentence, name, several & known)


def _splits(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, str]:
    if (table["split"] == "").all():
        told = "by a hash of the patient's id: of 100 about 70 train, 10 val, 10 calibration, 10 test"
        return splits_by_hash(table["patient_id"]), told
    _refuse_differing(
        table, "patient_id", "split", "patient_in_two_splits", "The patient is in more than one split", name
    )
    rows = table.loc[table["split"] != "", ["patient_id", "split"]].drop_duplicates()
    return rows.reset_index(drop=True), "the table's own"


def _told_pairs(ecgs: pd.DataFrame) -> str:
    n_named = int((ecgs["study_id"] != "").sum())
    return f"{n_named} of {len(ecgs)} ECGs stand in a row with their study; those of the others follow from times"


FOLDER = DataSet(
    "folder",
    "any folder of ECGs and echos, with a CSV that says whose they are (--table, --map)",
    _gather,
    options=frozenset({"table", "map", "root"}),
    licence="your own",
    citation="none",
)
