"""Files by what they hold: the hash that names an ECG or a clip, whatever it is called and wherever it lies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from ground.disk import sha256_of_open, short_name_of, stamp
from inputs.errors import InputError, UnreadableFile
from inputs.opened import File, open_regular_file

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class SourceFile:
    """A file and the sha256 of what it holds (of a WFDB header: also of the files that it names)."""

    path: File
    sha256: str


@dataclass(frozen=True)
class Sources:
    """Files by the id that the cohort's tables give them, and why the others are left out."""

    files: dict[str, SourceFile]
    skipped: dict[str, str]

    def reasons(self) -> dict[str, int]:
        """How many are left out for each reason."""
        return dict(Counter(self.skipped.values()))


def spec_hash(spec: BaseModel) -> str:
    """Short name of a specification: what was prepared by another one is another thing."""
    return short_name_of(spec.model_dump_json())


def hash_clips(paths: Mapping[str, File]) -> Sources:
    """Clips by id, those left out whose files cannot be opened."""
    return hashed(paths, clip_sha256)


def clip_sha256(path: File) -> str:
    """Of a clip's file. Raises InputError or OSError."""
    with open_regular_file(path) as file:
        return sha256_of_open(file)


def unchanged(path: File, sha256: str, hash_of: Callable[[File], str], read: Callable[[], _Read]) -> _Read:
    """What `read` gives of a file that was hashed before: it must not be known by the hash of another one.

    Raises UnreadableFile where the file was changed or exchanged since, if only for the time of reading.
    """
    before = _stamp(path)
    result = read()
    if hash_of(path) != sha256 or _stamp(path) != before:
        raise UnreadableFile("file_changed", "The file changed while it was read.")
    return result


def _stamp(path: File) -> tuple[int, ...]:
    """Changes with every writing, renaming and turning of a link; empty where there is no such file."""
    try:
        return stamp(os.lstat(path)) + stamp(os.stat(path))
    except OSError:
        return ()


def hashed(paths: Mapping[str, File], hash_of: Callable[[File], str]) -> Sources:
    """Files by id; one whose hash cannot be told is left out with the reason."""
    files: dict[str, SourceFile] = {}
    skipped: dict[str, str] = {}
    for name, path in paths.items():
        try:
            files[name] = SourceFile(path, hash_of(path))
        except InputError as error:
            skipped[name] = error.sentence
        except OSError:
            skipped[name] = "The file cannot be opened."
    return Sources(files, skipped)
