"""Rows that are made already, kept beside a table until it is whole: what a kill leaves is gone on with.

A file of JSON lines. A row counts once its line is complete and on the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ground.disk import hold
from ground.errors import Refusal
from ground.schema import NEWER, is_newer
from outputs.table import Cell, Row, Status

SCHEMA_VERSION = 1
_HEAD = {"journal": "echo2ecg predict", "schema_version": SCHEMA_VERSION}
_HEAD_LINE = json.dumps(_HEAD).encode() + b"\n"


class Journal:
    """Rows by key, one process at a time. Only where each lies is kept in memory.

    Refusal while another process has it, and for a file of that name that is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._file = self._opened()
        try:
            self._began = self._take_up()
            self._file.truncate(self._began)
        except BaseException:
            self._file.close()
            raise
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() == 0:
            self._file.write(_HEAD_LINE)
            self._sync()

    def _opened(self) -> BinaryIO:
        """The file, held. Where another run ended, and removed it, just before that: the next one of this name."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            file = os.fdopen(descriptor, "r+b")
            if not hold(file):
                file.close()
                raise Refusal("output_busy", f"Another run is writing this table: it holds {self.path.name}.")
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()

    def _take_up(self) -> int:
        """Note where whole lines lie; returns how many bytes they take. What a kill left of one does not count."""
        head = self._file.readline(len(_HEAD_LINE) + 200)
        if not head.endswith(b"\n") and _HEAD_LINE.startswith(head):
            return 0
        fields = _fields(head)
        if fields is None or fields.get("journal") != _HEAD["journal"]:
            sentence = f"{self.path.name} is in the way: rows that are made already are kept under this name."
            raise Refusal("journal_unknown", sentence, hint="Move the file away, or name another output.")
        if is_newer(fields, SCHEMA_VERSION):
            raise Refusal("journal_newer", f"{self.path.name} {NEWER}.", hint="Remove it to begin anew.")
        whole = len(head)
        for line in self._file:
            made = _Line.read(line)
            if made is None:
                break
            self._places[made.key] = whole, len(line)
            if made.row["status"] == "failed":  # it says nothing final: that ECG is tried again
                del self._places[made.key]
            whole += len(line)
        return whole

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def was_there(self, key: str) -> bool:
        """Whether a row is of a run before this one. KeyError where there is none."""
        return self._places[key][0] < self._began

    def take(self, made: Iterable[tuple[str, Row]]) -> None:
        """Rows of a table that an earlier run finished."""
        self._add(each for each in made if each[1].get("status") != "failed")
        self._began = self._file.tell()

    def add(self, key: str, row: Row) -> None:
        """On the disk when this returns. A key that is there already keeps its row."""
        self._add([(key, row)])

    def _add(self, made: Iterable[tuple[str, Row]]) -> None:
        self._file.seek(0, os.SEEK_END)
        for key, row in made:
            if key not in self._places:
                line = json.dumps({"key": key, "row": row}).encode() + b"\n"
                self._places[key] = self._file.tell(), len(line)
                self._file.write(line)
        self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def row(self, key: str) -> Row:
        """KeyError where there is none."""
        place, length = self._places[key]
        self._file.seek(place)
        row: Row = json.loads(self._file.read(length))["row"]
        return row

    def remove(self) -> None:
        """Once the table is whole."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()


class _Line(BaseModel):
    """A row as a line holds it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str
    row: dict[str, Cell]

    @model_validator(mode="after")
    def _says_what_became_of_it(self) -> Self:
        if self.row.get("status") not in get_args(Status):
            raise ValueError("no status")
        return self

    @classmethod
    def read(cls, line: bytes) -> Self | None:
        """None for a line that is cut or anything else."""
        try:
            return cls.model_validate_json(line) if line.endswith(b"\n") else None
        except ValidationError:
            return None


def _fields(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
