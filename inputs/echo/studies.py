"""Which clips of a folder belong to one study: the folder's own, or those of a tree as archives export it.

Only first bytes are looked at, by a search that parses nothing: reading clips is for a guarded child.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ground.disk import sha256
from inputs.echo.formats import FORMATS
from inputs.echo.formats.base import START_BYTES
from inputs.errors import UnreadableFile
from inputs.limits import MAX_STUDY_DEPTH, MAX_STUDY_FILES
from inputs.opened import open_regular_file

SUFFIXES = ("", ".dcm", ".avi", ".mp4")
"""Of files that are meant to be clips: one of these that is none is named as skipped, any other is passed over."""
_LISTING = "DICOMDIR"
_SEARCHED_BYTES = 2**20
_STUDY_UID = re.compile(
    rb"\x20\x00\x0d\x00(?:UI..|..\x00\x00)([0-9.]{1,64})|\x00\x20\x00\x0dUI..([0-9.]{1,64})", re.DOTALL
)
"""StudyInstanceUID in explicit and implicit little endian and in big endian. No sequence before it holds one."""


@dataclass(frozen=True)
class StudyFiles:
    """name: of the folder, with a hash of the study's identity where it has several. files: in order of their paths."""

    name: str
    files: tuple[Path, ...]


def studies_in(folder: Path) -> list[StudyFiles]:
    """The studies of a folder, in order of their first files; one, without files, where it has no clips.

    A folder with no clips below it in other folders is one study, as it stands. In a tree, DICOM files with the same
    StudyInstanceUID are a study, and others those that lie in one folder with them, or without any. The UID itself is
    told to nobody. Links are not followed. Raises UnreadableFile where the tree is too large or too deep.
    """
    files = sorted(_clip_files(folder))
    if all(path.parent == folder for path in files):
        return [StudyFiles(folder.name, tuple(files))]
    uid_of = {path: _study_uid(path) for path in files}
    uids_in: dict[Path, set[str]] = {}
    for path, uid in uid_of.items():
        uids_in.setdefault(path.parent, set()).update({uid} - {""})
    groups: dict[str, list[Path]] = {}
    for path, uid in uid_of.items():
        beside = uids_in[path.parent]
        alone = next(iter(beside)) if len(beside) == 1 else f"folder {path.parent.relative_to(folder).as_posix()}"
        groups.setdefault(uid or alone, []).append(path)
    if len(groups) == 1:
        return [StudyFiles(folder.name, tuple(files))]
    return [
        StudyFiles(f"{folder.name}-{sha256(identity.encode()).hexdigest()[:12]}", tuple(paths))
        for identity, paths in groups.items()
    ]


def _clip_files(folder: Path) -> Iterator[Path]:
    n_seen = 0
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        n_seen += len(names)
        if n_seen > MAX_STUDY_FILES:
            raise UnreadableFile("too_many_files", f"The folder holds more than {MAX_STUDY_FILES} files.")
        if len(here.relative_to(folder).parts) > MAX_STUDY_DEPTH:
            raise UnreadableFile("folder_too_deep", f"The folder is more than {MAX_STUDY_DEPTH} folders deep.")
        for name in names:
            path = here / name
            if name.startswith(".") or name == _LISTING or not path.is_file():
                continue
            if path.suffix.lower() in SUFFIXES or _is_clip(path):
                yield path


def _is_clip(path: Path) -> bool:
    """Whether its first bytes are a clip's: archives name files by numbers with dots in them."""
    start = _first_bytes(path, START_BYTES)
    return any(echo_format.recognises(start) for echo_format in FORMATS)


def _study_uid(path: Path) -> str:
    """Empty where the file has none near its start."""
    data = _first_bytes(path, _SEARCHED_BYTES)
    found = _STUDY_UID.search(data) if FORMATS[0].recognises(data[:START_BYTES]) else None
    return (found[1] or found[2]).decode("ascii") if found else ""


def _first_bytes(path: Path, most: int) -> bytes:
    """Nothing of what is no regular file or cannot be opened: whoever reads it says why."""
    try:
        with open_regular_file(path) as file:
            return file.read(most)
    except (UnreadableFile, OSError):
        return b""
