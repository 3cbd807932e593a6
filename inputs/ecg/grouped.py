"""Many files to the ECGs that they are: a header with the files that it names is one, any other file is one by itself.

The rule is that of an upload's parts (`inputs.ecg.parts`), asked of files that lie in folders. Little is read of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ground.progress import Progress, silent
from inputs.ecg.formats.companions import fitting
from inputs.ecg.parts import named_beside
from inputs.errors import UnreadableFile
from inputs.limits import MAX_WFDB_HEADER_BYTES
from inputs.opened import open_regular_file

_START_BYTES = 512
"""Of a file; one that has a zero among them is no header, and no more of it is read."""


def files_below(folder: Path, *, but: Collection[Path] = ()) -> list[Path]:
    """Files in a folder and all below it, sorted by their way there, without those in `but` (resolved).

    Hidden ones and folders that are links are passed over, as in a folder of echo studies.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    left_out = {path.name for path in but}
    kept = [path for path in found if path.name not in left_out or path.resolve() not in but]
    return sorted(kept, key=lambda path: path.parts)


def first_files(paths: Sequence[Path], progress: Progress = silent) -> list[Path]:
    """Of several files the first of each ECG, in their order: those that no header among them names.

    Of headers that name each other the first stands for all. The others come with it where it is read.
    """
    names = _by_folder(paths)
    named: dict[Path, list[Path]] = {}
    for done, path in enumerate(paths, start=1):
        if there := [each for each in _named_by(path, names[path.parent]) if each != path]:
            named[path] = there
        progress(done, len(paths), path.name)
    by_others = {each for there in named.values() for each in there}
    first = {path for path in paths if path not in by_others}
    covered = set(_with_named(first, named))
    for path in paths:
        if path not in covered:  # named by one that it names itself
            first.add(path)
            covered |= set(_with_named([path], named))
    return [path for path in paths if path in first]


def _by_folder(paths: Iterable[Path]) -> dict[Path, dict[str, Path]]:
    names: dict[Path, dict[str, Path]] = {}
    for path in paths:
        names.setdefault(path.parent, {})[path.name] = path
    return names


def _named_by(path: Path, names: Mapping[str, Path]) -> Iterator[Path]:
    """Those of the files beside one that it names."""
    for name in _names_in(path):
        if name in names:
            yield names[name]
            continue
        there = list(names)
        with contextlib.suppress(UnreadableFile):  # it fits two: whoever reads the header says so
            place = fitting(name, there)
            if place is not None:
                yield names[there[place]]


def _names_in(path: Path) -> tuple[str, ...]:
    """What a header names. Of one that is damaged or cannot be opened, whose reader will say why, the samples of its
    own name: they are no ECG of their own."""
    try:
        with open_regular_file(path) as file:
            if file.size > MAX_WFDB_HEADER_BYTES:
                return ()
            start = file.read(_START_BYTES)
            return () if b"\0" in start else named_beside(start + file.read())
    except Exception:  # as parsers raise over damaged headers, in many ways
        return (f"{path.stem}.dat",) if path.suffix.lower() == ".hea" else ()


def _with_named(first: Iterable[Path], named: Mapping[Path, Sequence[Path]]) -> list[Path]:
    found = list(first)
    seen = set(found)
    for path in found:  # which grows meanwhile
        new = [each for each in named.get(path, ()) if each not in seen]
        seen.update(new)
        found += new
    return found
