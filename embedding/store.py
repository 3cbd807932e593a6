"""Prepared arrays under string keys, appended to one file and read back memory-mapped.

Prepared ECGs and decoded clips, which are expensive to make and too large for a database, are kept in such a store,
keyed by what they were made from. A store survives being killed at any moment: an entry counts once its line in
`entries.jsonl` is complete, and that line is written after the values. It knows nothing of what the arrays mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ground.disk import hold
from ground.errors import Refusal
from ground.schema import NEWER

_MEMBERS = {"key", "offset", "shape", "note"}


@dataclass(frozen=True)
class _Entry:
    offset: int
    shape: tuple[int, ...]
    note: str


class ArrayStore:
    """Appends by one process; arrays share a dtype and may differ in shape. `note` says why a key has no values.

    Refusal while another process, or another store of this one, has the folder open, and for what a newer version of
    this software keeps.
    """

    def __init__(self, folder: Path, dtype: DTypeLike) -> None:
        self.folder = folder
        self.dtype = np.dtype(dtype)
        folder.mkdir(parents=True, exist_ok=True)
        self._values_path = folder / "values.bin"
        self._entries: dict[str, _Entry] = {}
        self._mapped: NDArray[Any] | None = None
        self._values_file = open(self._values_path, "ab")  # noqa: SIM115 - lives as long as the store
        if not hold(self._values_file):
            self._values_file.close()
            raise Refusal("work_folder_busy", f"another run is using this work folder ({folder.parent.name})")
        entries_path = folder / "entries.jsonl"
        try:
            whole = self._read_entries(entries_path)
        except Refusal:
            self._values_file.close()
            raise
        # Half a line or values without a line are what a kill leaves; they are cut off before anything is added.
        self._entries_file = open(entries_path, "ab")  # noqa: SIM115 - lives as long as the store
        self._entries_file.truncate(whole)
        self._values_file.truncate(max((self._end(entry) for entry in self._entries.values()), default=0))
        self._values_file.seek(0, os.SEEK_END)

    def _read_entries(self, path: Path) -> int:
        """Reads complete, backed-up lines; returns how many bytes they take. Refusal for those of another form."""
        if not path.exists():
            return 0
        size = self._values_path.stat().st_size
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                row = json.loads(line)
            except ValueError:
                break
            if not isinstance(row, dict):
                break
            if row.keys() != _MEMBERS:  # before anything is cut off
                raise Refusal("work_folder_newer", f"the work folder ({self.folder.parent.name}) {NEWER}")
            entry = _Entry(row["offset"], tuple(row["shape"]), row["note"])
            if not line.endswith(b"\n") or self._end(entry) > size:
                break
            self._entries[row["key"]] = entry
            whole += len(line)
        return whole

    def _end(self, entry: _Entry) -> int:
        return entry.offset + int(np.prod(entry.shape, dtype=np.int64)) * self.dtype.itemsize

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        """All keys, those without an array too."""
        return iter(list(self._entries))

    def note(self, key: str) -> str:
        """Empty for an array, otherwise the reason there is none."""
        return self._entries[key].note

    def add(self, key: str, array: NDArray[Any]) -> None:
        """Appends one array. A key that is already there is an error of the caller's."""
        if key in self._entries:
            raise ValueError(f"{key} is already stored")
        if array.dtype != self.dtype:
            raise ValueError(f"this store holds {self.dtype}, not {array.dtype}")
        offset = self._values_file.tell()
        self._values_file.write(np.ascontiguousarray(array).data)
        self._values_file.flush()
        self._record(key, _Entry(offset, array.shape, ""))

    def add_note(self, key: str, note: str) -> None:
        """Remembers that `key` gives no array and why, so that it is not tried again."""
        self._record(key, _Entry(self._values_file.tell(), (0,), note))

    def _record(self, key: str, entry: _Entry) -> None:
        row = {"key": key, "offset": entry.offset, "shape": entry.shape, "note": entry.note}
        self._entries_file.write(json.dumps(row).encode() + b"\n")
        self._entries_file.flush()
        self._entries[key] = entry

    def __getitem__(self, key: str) -> NDArray[Any]:
        """A read-only, memory-mapped view; KeyError where there is no array."""
        entry = self._entries[key]
        if entry.note:
            raise KeyError(key)
        if self._mapped is None or self._end(entry) > self._mapped.nbytes:
            self._mapped = np.memmap(self._values_path, dtype=np.uint8, mode="r")
        return self._mapped[entry.offset : self._end(entry)].view(self.dtype).reshape(entry.shape)

    def sync(self) -> None:
        """Forces what was added to the disk."""
        os.fsync(self._values_file.fileno())
        os.fsync(self._entries_file.fileno())

    def close(self) -> None:
        self._mapped = None
        with self._entries_file, self._values_file:  # closed and free again, also where the disk refuses the last bytes
            self.sync()

    def __enter__(self) -> ArrayStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
