"""View vectors that somebody made of echo clips, beside a cohort that is there: its ECGs, studies and splits stay.

SRC is a table with a row for each view, CSV or Parquet; ours are `study_id`, `view_id`, `view` and

- `vector`, a list of numbers in a Parquet table, or
- `vector_row`, the row in an array (`--vectors FILE.npy` or .npz) that the vector stands in. Never silently the row's
  position. Of an .npz that has `ids` the view_id does, where there is no `vector_row`.

The published pair has `echo_study_id` and `echo_embed_idx` for study_id and vector_row. A table without view_id calls a
view by its `vector_row`. Patients come from the cohort; a column `patient_id` must name the same ones. Whose vectors
they are says the table itself, where this software wrote it, or `--vectors-of NAME`.

Letters: N rows of the table, W numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.adapters.base import DataSet, Gathered, Skipped, Source, left_out
from cohorts.adapters.cells import refuse_rows, whole
from cohorts.adapters.source_tables import (
    check_ours,
    column_missing,
    column_named,
    columns_of,
    read_source_table,
    refused_of_source,
    unreadable,
)
from cohorts.adapters.vector_arrays import open_vectors
from cohorts.adapters.vector_files import Vectors, array_vectors, list_vectors, named_vectors
from cohorts.columns import PARSER_ERRORS, come_once
from cohorts.folder import Cohort
from cohorts.opened import OpenCohort, open_cohort
from cohorts.own_files import read_table_file
from cohorts.own_labels import cells_in, columns_in
from cohorts.tables import TABLES, CohortError, TableName
from cohorts.vector_column import is_vector
from cohorts.views import VECTOR, VIEWS_FILE, source_told, write_views
from inputs.view_source import MEMBER, ViewSource

_ROW = "vector_row"
_THEIRS = {"study_id": ("study_id", "echo_study_id"), _ROW: (_ROW, "echo_embed_idx")}
_OURS = ("study_id", "view_id", "view", "patient_id", VECTOR, _ROW)
"""patient_id is compared alone: patients come from the cohort."""


def _gather(source: Source) -> Gathered:
    if "cohort" not in source.roots:
        raise CohortError(
            "cohort_not_named",
            "Vectors come with no ECGs, studies and splits.",
            hint="Name the cohort folder that has them: --root cohort=DIR.",
        )
    base = open_cohort(source.roots["cohort"])
    path = source.folder
    theirs = _columns(path, source.columns)
    cells = _cells(path, theirs)
    # The published pair has a row for each ECG and clip: a clip beside two ECGs comes twice.
    again = cells.duplicated() & (_ROW in cells and "view_id" not in cells)
    _check_used(source, path, theirs)
    vectors = _vectors(source, path, theirs, cells, again)
    told = _told(path, source, vectors.width)

    study_id = cells["study_id"]
    refuse_rows("id_missing", f"{theirs['study_id']} is empty", path.name, study_id == "")
    if "view_id" not in cells:
        cells["view_id"] = cells[_ROW] if _ROW in cells else _counted(study_id)
    refuse_rows("id_missing", "view_id is empty", path.name, cells["view_id"] == "")
    twice = cells.duplicated(["study_id", "view_id"]) & ~again
    refuse_rows("id_twice", "The same study_id and view_id stands in more than one row", path.name, twice)
    owner = base.tables.studies.set_index("study_id")["patient_id"]
    study_id = study_id.where(study_id.isin(owner.index), whole(study_id))
    known = study_id.isin(owner.index)
    if not known.any():
        sentence = f"No {theirs['study_id']} of {path.name} is a study_id of the cohort."
        raise CohortError("study_unmatched", sentence, hint="Is another column meant? --map study_id=THEIRS names it.")
    _check_patients(path, theirs, cells, study_id.map(owner))
    rows = cells.assign(study_id=study_id, patient_id=study_id.map(owner))
    taken = known & ~again
    write_views(source.made.parent / VIEWS_FILE, rows[taken], vectors.of(taken.to_numpy()), told)
    skipped = [
        *left_out("the study is not in the cohort", path.name, ~known),
        *left_out("an earlier row names the same view", path.name, known & again),
    ]
    return _beside_vectors(base, told, skipped)


def _check_patients(path: Path, theirs: Mapping[str, str], cells: pd.DataFrame, owner: pd.Series) -> None:
    """Raises CohortError where the table names another patient for a study than the cohort does."""
    if "patient_id" not in cells:
        return
    said = cells["patient_id"]
    other = (said != "") & owner.notna() & (said != owner) & (whole(said) != owner)
    sentence = f"{theirs['patient_id']} is not the patient whose study it is in the cohort"
    hint = "Patients come from the cohort. Where these ids are of another kind, take the column out of the table."
    refuse_rows("patient_differs", sentence, path.name, other, hint=hint)


def _columns(path: Path, mapped: Mapping[str, str]) -> dict[str, str]:
    """Our columns and which of theirs they are. Raises CohortError for one that is not there."""
    names = _names(path)
    check_ours(mapped, _OURS)
    found: dict[str, str] = {}
    for ours in _OURS:
        wanted = (mapped[ours],) if ours in mapped else _THEIRS.get(ours, (ours,))
        there = [name for name in (column_named(one, names) for one in wanted) if name is not None]
        if there:
            found[ours] = there[0]
        elif ours in mapped or ours == "study_id":
            raise column_missing(path.name, wanted[0], names)
    with refused_of_source():
        come_once(path.name, names, found.values())
    return found


def _names(path: Path) -> list[str]:
    if path.suffix.lower() != ".parquet":
        return columns_of(path)
    try:
        return list(pq.read_schema(path).names)
    except PARSER_ERRORS as error:
        raise unreadable(path.name) from error


def _cells(path: Path, theirs: Mapping[str, str]) -> pd.DataFrame:
    """Every column but the vectors, as text."""
    told = {ours: name for ours, name in theirs.items() if ours != VECTOR}
    if path.suffix.lower() != ".parquet":
        read = read_source_table(path, dict.fromkeys(told.values()))
        return pd.DataFrame({ours: read[name] for ours, name in told.items()})
    try:
        table = pq.read_table(path, columns=[*dict.fromkeys(told.values())])
        texts = {ours: table[name].cast(pa.string()).fill_null("") for ours, name in told.items()}
        return pd.DataFrame({ours: pd.Series(text.to_pandas(), dtype=object) for ours, text in texts.items()})
    except PARSER_ERRORS as error:
        raise unreadable(path.name) from error


def _check_used(source: Source, path: Path, theirs: Mapping[str, str]) -> None:
    """Raises CohortError for vectors, or rows of them, that would be passed over without a word."""
    if "vectors" in source.files and VECTOR in theirs:
        sentence = f"{path.name} has the column {theirs[VECTOR]}, and --vectors names vectors too."
        raise CohortError("vectors_twice", sentence, hint="Leave out --vectors, or take the column out of the table.")
    if "vectors" not in source.files and _ROW in source.columns:
        sentence = f"--map {_ROW} says rows of a --vectors FILE, and none is given."
        raise CohortError("option_without_file", sentence)


def _vectors(source: Source, path: Path, theirs: Mapping[str, str], cells: pd.DataFrame, again: pd.Series) -> Vectors:
    file = source.files.get("vectors")
    if file is not None:
        array = open_vectors(file, source.made.parent)
        if _ROW in theirs:
            return array_vectors(array, cells[_ROW], theirs[_ROW], path.name, again)
        if array.names is not None and "view_id" in theirs:
            return named_vectors(array, cells["view_id"], theirs["view_id"], path.name)
        raise CohortError(
            "vector_row_not_said",
            f"{path.name} does not say which row of {file.name} each view is.",
            hint="A column says it: --map vector_row=THEIRS, or --map view_id=THEIRS for an .npz with ids.",
        )
    if VECTOR not in theirs or path.suffix.lower() != ".parquet":
        raise CohortError(
            "vectors_missing",
            f"{path.name} has no column of vectors.",
            hint="--map vector=THEIRS names one of a Parquet table, --vectors FILE.npy an array beside the table.",
        )
    if not is_vector(pq.read_schema(path).field(theirs[VECTOR]).type):
        raise CohortError("column_type", f"{theirs[VECTOR]} of {path.name} holds no lists of floating-point numbers.")
    return list_vectors(path, theirs[VECTOR], len(cells))


def _told(path: Path, source: Source, width: int) -> ViewSource:
    told = source_told(path) if path.suffix.lower() == ".parquet" else None
    name = source.words.get("vectors-of")
    if told is not None and name is None:
        return told.model_copy(update={"width": width})
    if name is None or not name.strip() or len(name) > 200:
        raise CohortError(
            "view_source_missing",
            f"{path.name} does not say whose vectors it holds.",
            hint="Say what made them: --vectors-of NAME, such as EchoPrime.",
        )
    return ViewSource(name=name.strip(), width=width)


def _counted(study_id: pd.Series) -> pd.Series:
    return "v" + study_id.groupby(study_id).cumcount().astype(str)


def _beside_vectors(base: OpenCohort, told: ViewSource, skipped: list[Skipped]) -> Gathered:
    """The cohort's own tables, their files named from where they are, and its columns of labels kept."""
    tables = base.tables
    names: tuple[TableName, ...] = ("ecgs", "studies", "splits")
    frames = {name: _own_frame(tables, name) for name in names}
    root = next(f"cohort{n or ''}" for n in range(len(tables.roots) + 1) if f"cohort{n or ''}" not in tables.roots)
    ecgs = frames["ecgs"]
    named = ecgs["path"].astype(str)
    rooted = named.str.partition(":")[0].isin(tables.roots) & named.str.contains(":", regex=False)
    ecgs["path"] = named.where(rooted, f"{root}:" + named)
    about = {k: v for k, v in base.about.written.items() if k not in ("roots", "schema_version", MEMBER)}
    own: dict[TableName, tuple[str, ...]] = {
        name: tuple(str(column) for column in frame.columns if column not in TABLES[name])
        for name, frame in frames.items()
    }
    return Gathered(
        roots={**tables.roots, root: tables.root},
        ecgs=ecgs,
        studies=frames["studies"],
        splits=frames["splits"],
        about={**about, MEMBER: told.model_dump(mode="json")},
        skipped=tuple(skipped),
        own={name: columns for name, columns in own.items() if columns},
    )


def _own_frame(cohort: Cohort, name: TableName) -> pd.DataFrame:
    """A table of a cohort that was read without a contradiction, with all its columns."""
    file = read_table_file(cohort.root, name)
    assert file is not None
    return cells_in(file, columns_in(file), [column for column, kind in TABLES[name].items() if kind == "id"])


VECTORS = DataSet(
    "vectors",
    "vectors of echo views instead of clips: a table and --vectors FILE; --root cohort=DIR has the rest",
    _gather,
    options=frozenset({"map", "root", "vectors", "vectors-of"}),
    from_file=True,
)
