"""HDF5 files, MATLAB 7.3 among them: CODE's `tracings` of many exams, and single ECGs under the names in use.

Source: "HDF5 File Format Specification", The HDF Group; the layout of CODE-15% (Zenodo 4916206): `tracings` (E, N, L)
beside `exam_id`. h5py finds what is in a file. It follows hard links only, so that nothing outside of the file is ever
opened, and of the values only those of the wanted exam are read (`hdf5_values`). netCDF-4 is HDF5.
"""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from ground.extras import ExtraMissing, require
from inputs.ecg.formats.arrays import MOST_OF_AN_AXIS, recording_from
from inputs.ecg.formats.base import EcgFormat, of_one_file
from inputs.ecg.formats.hdf5_values import Loading, damaged, lies_elsewhere
from inputs.ecg.formats.stated import MOST_FACTS, Contents, Fact, Numbers, Path, tells
from inputs.errors import InputError, UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import EcgRecording, ReadHints

_MAGIC = b"\x89HDF\r\n\x1a\n"
_MATLAB_BLOCK_BYTES = 512
_MOST_OBJECTS = 2000
_MOST_DEPTH = 6
_MOST_ATTRIBUTES = 256
_MOST_IDS = 5_000_000
_MISSING = ("_FillValue", "missing_value")
"""As netCDF calls what stands for a missing sample."""


def looks_like_hdf5(data: bytes) -> bool:
    """By its signature, behind 512 bytes of words where MATLAB wrote it."""
    return data.startswith(_MAGIC) or (data.startswith(b"MATLAB 7.3") and data[_MATLAB_BLOCK_BYTES:].startswith(_MAGIC))


def read_hdf5(data: bytes, hints: ReadHints) -> EcgRecording:
    """Read the one ECG among the arrays of a file, or the one that `hints.exam` chooses of an array of many.

    `hints` must give rate and unit unless datasets or attributes such as `fs` and `units` do; `hints.leads` the names
    of the leads in any other order than the usual unless one such as `leads` does. Raises UnreadableFile.
    """
    try:
        h5py = require("h5py", "Reading an HDF5 file")
    except ExtraMissing as error:
        raise UnreadableFile("format_not_installed", error.sentence, hint=error.hint) from error
    if _texts_loop(data):
        raise damaged()
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            walk = _Walk(h5py, len(data), of_matlab=data.startswith(b"MATLAB"))
            walk.group(file, ())
            walk.check_found()
            return recording_from(Contents(walk.kind, "hdf5", walk.arrays, walk.facts), hints)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py has a dozen for damaged files, OSError and RuntimeError among them
        raise damaged() from error


def _texts_loop(data: bytes) -> bool:
    """Whether a heap of texts holds a free space of no bytes: the library would go on from there for ever."""
    at = data.find(b"GCOL")
    while at >= 0:
        place, end = at + 16, min(at + int.from_bytes(data[at + 8 : at + 16], "little"), len(data))
        while place + 16 <= end:
            free = data[place : place + 2] == bytes(2)
            size = int.from_bytes(data[place + 8 : place + 16], "little")
            if free and size == 0:
                return True
            place += size if free else 16 + (size + 7) // 8 * 8
        at = data.find(b"GCOL", max(place, at + 4))  # not again through what was walked
    return False


@dataclass
class _Walk:
    """Goes through the groups of a file and gathers its arrays and facts."""

    h5py: ModuleType
    size: int
    of_matlab: bool
    arrays: list[Numbers] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    objects: int = 0
    elsewhere: int = 0
    tables: int = 0
    seen: set[int] = field(default_factory=set)

    @property
    def kind(self) -> str:
        return "MATLAB 7.3" if self.of_matlab else "HDF5"

    def check_found(self) -> None:
        """Refuse a file without an array of numbers of its own."""
        if self.arrays:
            return
        what = "no array of numbers"
        if self.elsewhere:
            what = "no array of its own: it points to others"
        elif self.tables:
            what = "tables instead of arrays of numbers"
        raise UnreadableFile(
            "unsupported_format",
            f"The {self.kind} file holds {what}.",
            hint="Save the samples as one dataset of (leads, samples).",
        )

    def group(self, group: Any, path: Path) -> None:
        """What hard links of a group lead to. Soft and external ones, and links of other kinds, are not followed."""
        self._attributes(group, path)
        if "pandas_type" in group.attrs:
            raise UnreadableFile(
                "unsupported_format",
                "The HDF5 file holds a pandas table, which is not read.",
                hint="Save the values as an array: h5py's create_dataset, NPY or CSV.",
            )
        if {"macaddress", "sampling rate"} <= set(group.attrs):
            raise UnreadableFile(
                "unsupported_format",
                "This is an OpenSignals recording (BITalino, biosignalsplux): its channels name no leads.",
                hint="Save its ECG channels as CSV, a column for each lead below its name, with rate_hz and unit.",
            )
        if len(path) >= _MOST_DEPTH:
            return
        for name in itertools.islice(group, _MOST_OBJECTS + 1):
            self.objects += 1
            if self.objects > _MOST_OBJECTS:
                raise UnreadableFile(
                    "too_long",
                    f"The {self.kind} file holds more than {_MOST_OBJECTS} datasets and groups.",
                    hint="Save the one ECG alone.",
                )
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                self.elsewhere += 1
                continue
            if name.startswith("#"):  # what MATLAB keeps for cells and objects
                continue
            self._thing(group[name], (*path, name))

    def _thing(self, below: Any, path: Path) -> None:
        address = self.h5py.h5o.get_info(below.id).addr
        if address in self.seen:  # one thing under two names, or a group within itself
            return
        self.seen.add(address)
        if isinstance(below, self.h5py.Group):
            self.group(below, path)
        elif isinstance(below, self.h5py.Dataset):
            self._dataset(below, path)

    def _dataset(self, dataset: Any, path: Path) -> None:
        if lies_elsewhere(self.h5py, dataset):
            self.elsewhere += 1
            return
        dtype = dataset.dtype
        if dtype.kind == "V":
            self.tables += 1
            self._columns(dataset, path)
            return
        self._attributes(dataset, path)
        if "MATLAB_object_decode" in dataset.attrs:  # strings and tables
            self.facts.append(Fact(path, ("",)))
            return
        self._fact(dataset, path)
        shape = dataset.shape
        if self.of_matlab and self.h5py.check_ref_dtype(dtype) is not None:
            self._cells(dataset, path)
        if dtype.kind not in "fiu" or shape is None or not all(size < MOST_OF_AN_AXIS for size in shape):
            return
        if self.h5py.check_enum_dtype(dtype) is not None or self._class_of(dataset) in ("char", "logical", "cell"):
            return
        if self.of_matlab:  # which writes its arrays column by column: to HDF5 their axes are reversed
            shape = shape[::-1]
        loading = Loading(self.h5py, dataset, self.size, self.of_matlab, self._missing(dataset))
        self.arrays.append(Numbers(path, shape, dtype, loading.load))

    def _class_of(self, dataset: Any) -> str:
        found = dataset.attrs.get("MATLAB_class", b"") if self.of_matlab else b""
        return found.decode("latin-1") if isinstance(found, bytes) else ""

    def _missing(self, dataset: Any) -> float | None:
        """What stands where a sample is missing; zero is a genuine value too, and stays."""
        for name in _MISSING:
            attribute = dataset.attrs.get_id(name) if name in dataset.attrs else None
            if attribute is not None and attribute.dtype.kind in "fiu" and math.prod(attribute.shape) == 1:
                return float(np.ravel(dataset.attrs[name])[0]) or None
        return None

    def _fact(self, dataset: Any, path: Path) -> None:
        """The few values of a dataset: numbers where its name tells, texts, MATLAB's letters and cells of them."""
        told = tells(path[-1])
        most = _MOST_IDS if told and dataset.dtype.kind in "SO" and len(dataset.shape or ()) == 1 else MOST_FACTS
        if dataset.shape is None or not 0 < dataset.size <= most:
            return
        if self.of_matlab and dataset.attrs.get("MATLAB_empty"):
            return
        values: tuple[str | float, ...]
        if self.h5py.check_ref_dtype(dataset.dtype) is not None:
            if not (told or dataset.size <= MAX_CHANNELS):
                return
            each = [self._letters(dataset.file[place]) if place else () for place in np.ravel(self._all(dataset))]
            values = tuple(some[0] for some in each if some)
            values = values if len(values) == len(each) else ()
        elif self._class_of(dataset) == "char":
            values = self._letters(dataset)
        elif self.h5py.check_string_dtype(dataset.dtype) is not None:
            values = _values(_rows(self._all(dataset)))
        else:
            values = _values(self._all(dataset)) if told else ()
        if told or values:
            self.facts.append(Fact(path, values))

    def _columns(self, table: Any, path: Path) -> None:
        """The columns of texts of a table as short as one of channels."""
        if table.dtype.names is None or len(table.shape or ()) != 1 or not 1 < table.size <= MAX_CHANNELS:
            return
        texts = [name for name in table.dtype.names if self.h5py.check_string_dtype(table.dtype[name]) is not None]
        if texts:
            rows = self._all(table)
            self.facts += [Fact((*path, name), _values(rows[name])) for name in texts]

    def _cells(self, dataset: Any, path: Path) -> None:
        """Arrays and structs in a cell array, or in the field of an array of structs, under their numbers."""
        if tells(path[-1]) or not 0 < (dataset.size or 0) <= MAX_CHANNELS or dataset.attrs.get("MATLAB_empty"):
            return
        for place, reference in enumerate(np.ravel(self._all(dataset))):
            below = dataset.file[reference] if reference else None
            if below is not None and self._class_of(below) != "char" and len(path) < _MOST_DEPTH:
                self._thing(below, (*path, str(place)))

    def _letters(self, dataset: Any) -> tuple[str, ...]:
        """Texts that MATLAB stored as one number for each letter, one for each row; nothing where it is none."""
        if not isinstance(dataset, self.h5py.Dataset) or lies_elsewhere(self.h5py, dataset):
            return ()
        if self._class_of(dataset) != "char":
            return ()
        if dataset.dtype != np.uint16 or not 0 < dataset.size <= 64 * MOST_FACTS:
            return ()
        letters = "".join(chr(letter) for letter in np.ravel(self._all(dataset)))
        rows = dataset.shape[-1]
        texts = tuple(letters[row::rows].strip() for row in range(min(rows, MOST_FACTS)))
        return texts if all(texts) else ()

    def _all(self, dataset: Any) -> Any:
        return Loading(self.h5py, dataset, self.size, reverse=False).all_by_library()

    def _attributes(self, owner: Any, path: Path) -> None:
        if len(owner.attrs) > _MOST_ATTRIBUTES:
            return
        for name in owner.attrs:
            attribute = owner.attrs.get_id(name)
            if attribute.dtype.kind not in "fiuSO" or math.prod(attribute.shape or ()) > MOST_FACTS:
                continue
            is_text = self.h5py.check_string_dtype(attribute.dtype) is not None
            if not (is_text or tells(name)):
                continue
            if self.h5py.check_ref_dtype(attribute.dtype) is None and (values := _values(_rows(owner.attrs[name]))):
                self.facts.append(Fact((*path, name), values))


def _rows(found: Any) -> Any:
    """Single letters along a last axis, as netCDF writes texts, as one text for each row."""
    if not isinstance(found, np.ndarray) or found.dtype != np.dtype("S1") or found.ndim < 2:
        return found
    return np.ascontiguousarray(found).view(f"S{found.shape[-1]}")[..., 0]


def _values(found: Any) -> tuple[str | float, ...]:
    """Numbers as floats and texts as str; nothing where there is something else among them."""
    values = np.ravel(found).tolist() if isinstance(found, np.ndarray) else [found]
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(value, str | int | float | np.integer | np.floating) for value in texts):
        return ()
    return tuple(value if isinstance(value, str) else float(value) for value in texts)


HDF5 = EcgFormat("hdf5", looks_like_hdf5, of_one_file(read_hdf5), states_itself=False, chooses=frozenset({"exam"}))
