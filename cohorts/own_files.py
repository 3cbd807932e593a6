"""The files that a cohort folder itself is made of: found, and opened like any that may be hostile."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path

from cohorts.tables import OPTIONAL_TABLES, TABLES, CohortError, TableFile, TableName, TablesHash, table_unreadable
from cohorts.views import has_views, stamp_of_views
from inputs import limits
from inputs.errors import UnreadableFile
from inputs.opened import open_regular_file


def read_own_file(path: Path, most_bytes: int) -> bytes:
    """All of a regular file; a link is followed, since whoever keeps the cohort made it.

    Raises UnreadableFile for what is no regular file, cannot be opened or is larger than `most_bytes`, and OSError
    where reading fails.
    """
    try:
        file = open_regular_file(path.resolve())
    except UnreadableFile as error:
        if error.code == "file_empty":
            return b""
        raise
    with file:
        if file.size > most_bytes:
            raise UnreadableFile("file_too_large", f"{path.name} is larger than {most_bytes >> 20} MiB.")
        return file.read()


def read_table_file(root: Path, name: TableName) -> TableFile | None:
    """The bytes of a table, None where it may be and is absent.

    Raises CohortError when there is none of another, two of it, or a file that cannot be read.
    """
    there = _table_files(root, name)
    if not there and name in OPTIONAL_TABLES and not _dangles(root, name):
        return None
    if not there:
        raise CohortError("table_missing", f"There is no {name}.csv or {name}.parquet in the cohort folder.")
    if len(there) > 1:
        raise CohortError("table_twice", f"There is both a {name}.csv and a {name}.parquet; remove one of them.")
    return read_file_of_table(there[0])


def tables_sha256(root: Path, names: Collection[TableName] = tuple(TABLES)) -> str:
    """As `TablesHash`, without parsing: of some tables' files in a cohort folder, in the order of `names`.

    View vectors count where views do. Raises CohortError for a file that cannot be read.
    """
    digest = TablesHash()
    for path in itertools.chain.from_iterable(_table_files(root, name) for name in names):
        digest.add(read_file_of_table(path))
    if "echos" in names and has_views(root):
        digest.add_stamp(stamp_of_views(root))
    return digest.hexdigest()


def read_file_of_table(path: Path) -> TableFile:
    """All of it. Raises CohortError for a file that is too large or cannot be read."""
    try:
        return TableFile(path.name, read_own_file(path, limits.MAX_COHORT_TABLE_BYTES))
    except UnreadableFile as error:
        if error.code == "file_too_large":
            raise CohortError("table_too_large", error.sentence) from error
        raise table_unreadable(path.name) from error
    except OSError as error:
        raise table_unreadable(path.name) from error


def _dangles(root: Path, name: TableName) -> bool:
    """Whether a link is there whose table is gone: no reason to take the cohort for one without it."""
    return any(path.is_symlink() for path in (root / f"{name}.csv", root / f"{name}.parquet"))


def _table_files(root: Path, name: TableName) -> list[Path]:
    """The file that holds a table, where there is one; a cohort with both is refused when it is read."""
    return [path for path in (root / f"{name}.csv", root / f"{name}.parquet") if path.exists()]
