"""Which clips of a folder belong to one study: the folder's own, or those of a tree as archives export it.

Only first bytes are looked at, and the lengths of elements: reading clips is for a guarded child.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ground.disk import sha256
from inputs.echo.formats import FORMATS
from inputs.echo.formats.base import START_BYTES
from inputs.echo.kinds import lies_beside_clips, may_hold_a_clip
from inputs.errors import UnreadableFile
from inputs.limits import MAX_STUDY_DEPTH, MAX_STUDY_FILES
from inputs.opened import BoundedReader, open_regular_file

SUFFIXES = ("", ".dcm", ".avi", ".mp4")
"""Of files that are meant to be clips: one of these that is none is named as skipped, any other is passed over, and so
is a picture, a document or a text without an ending."""
_VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *(
            "mov",
            "m4v",
            "3gp",
            "mkv",
            "webm",
            "wmv",
            "asf",
            "flv",
            "ogv",
            "rm",
            "rmvb",
            "mxf",
            "ivf",
            "nut",
            "dv",
        ),
        *("mpg", "mpeg", "m2v", "vob", "ts", "mts", "m2ts", "divx", "264", "h264", "265", "h265", "hevc", "obu"),
    )
)
"""Of videos that are not read: no few first bytes tell some of them."""
_LISTING = "DICOMDIR"
_STUDY_UID = (0x0020, 0x000D)
_META_GROUP = 0x0002
_ITEM, _ENDS = (0xFFFE, 0xE000), ((0xFFFE, 0xE00D), (0xFFFE, 0xE0DD))
_PIXEL_GROUP = 0x7FE0
_TO_THE_END = 0xFFFFFFFF
_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_MAX_ELEMENTS = 50_000
"""More than are read of a DICOM file."""
_MAX_UID_BYTES = 64
_AT_ONCE = 2**20
_UNSURE = "?"
"""In place of a StudyInstanceUID, which no such letter is in: the clip is a study of its own."""


@dataclass(frozen=True)
class StudyFiles:
    """name: of the folder, with a hash of the study's identity where it has several. files: in order of their paths.

    uid: StudyInstanceUID; empty where the files are none of DICOM. It may lead to a patient: it is for whoever has the
    files, and for no answer or log.
    """

    name: str
    files: tuple[Path, ...]
    uid: str = ""


def studies_in(folder: Path) -> list[StudyFiles]:
    """The studies of a folder, in order of their first files; one, without files, where it has no clips.

    DICOM files with the same StudyInstanceUID are a study, and other clips those that lie in one folder with them, or
    without any. One in such disorder that it may have another is a study of its own: it might be put with another
    patient's. The name says nothing of the UID. A file that is no clip makes no study: it goes with the one that lies
    beside it, else with the first, to be named as skipped. Links are not followed. Raises UnreadableFile where the tree
    is too large or too deep.
    """
    uid_of = {path: _study_uid(path) for path in sorted(filter(_is_meant, _files(folder)))}
    uids_in: dict[Path, set[str]] = {}
    for path, uid in uid_of.items():
        uids_in.setdefault(path.parent, set()).update({uid or ""} - {"", _UNSURE})

    def study_of(path: Path) -> str:
        if uid_of[path] == _UNSURE:
            return f"file {path.relative_to(folder).as_posix()}"
        beside = uids_in[path.parent]
        alone = next(iter(beside)) if len(beside) == 1 else f"folder {path.parent.relative_to(folder).as_posix()}"
        return uid_of[path] or alone

    clips = [path for path, uid in uid_of.items() if uid is not None]
    identities = dict.fromkeys(study_of(path) for path in clips)
    first = next(iter(identities), "")
    groups: dict[str, list[Path]] = {identity: [] for identity in identities or [first]}
    for path in uid_of:
        identity = study_of(path)
        groups[identity if identity in groups else first].append(path)
    if len(groups) == 1:
        return [StudyFiles(folder.name, tuple(uid_of), first if first in uid_of.values() else "")]
    return [
        StudyFiles(
            f"{folder.name}-{sha256(identity.encode()).hexdigest()[:12]}",
            tuple(paths),
            identity if identity in uid_of.values() else "",
        )
        for identity, paths in groups.items()
    ]


def passed_over(folder: Path) -> list[Path]:
    """The files of a folder that are in none of its studies: pictures, documents, viewers. Raises as `studies_in`."""
    return sorted(path for path in _files(folder) if not _is_meant(path))


def _files(folder: Path) -> Iterator[Path]:
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
            if not name.startswith(".") and name.upper() != _LISTING and path.is_file():
                yield path


def _is_meant(path: Path) -> bool:
    """Whether it is a clip, may hold one that is not read as it stands, or is called like one: archives name files by
    numbers with dots, or without an ending."""
    with _opened(path) as file:
        start = file.read(START_BYTES) if file is not None else b""
    if _is_clip(start) or may_hold_a_clip(start):
        return True
    suffix = path.suffix.lower()
    if suffix in _VIDEO_SUFFIXES or suffix == "":
        return not lies_beside_clips(start) and (suffix == "" or start != b"")
    return suffix in SUFFIXES


def _is_clip(start: bytes) -> bool:
    return any(echo_format.recognises(start) for echo_format in FORMATS)


def _study_uid(path: Path) -> str | None:
    """StudyInstanceUID; empty where a clip has none, _UNSURE where it may have one, None of a file that is no clip."""
    with _opened(path) as file:
        start = file.read(START_BYTES) if file is not None else b""
        if file is None or not FORMATS[0].recognises(start):
            return "" if _is_clip(start) else None
        try:
            return _top_level_uid(file, START_BYTES if start.endswith(b"DICM") else 0)
        except (struct.error, _Disorder):
            return _UNSURE


def _top_level_uid(file: BoundedReader, at: int) -> str | None:
    """The value of StudyInstanceUID that belongs to the object itself, and to none that a sequence refers to.

    Empty where a clip has none, and None where the file ends before its pixels, or has only zeros from there on.

    Elements are passed over by their lengths; into what is as long as its end marks say, each is stepped, one level
    deeper. Where the first element behind the file meta information has no VR, none has: a length may look like one.
    Where elements do not rise all of them are looked at, for those that belong to a sequence would not either. Raises
    struct.error where the file ends within one, and _Disorder where an end mark ends nothing that is open, or there
    are two values or, in disorder, none: who reads the clip may then find another.
    """
    opened: list[tuple[int, int]] = []
    last, order, has_vrs = (0, 0), "<", None
    uid, rises = None, True
    for _ in range(_MAX_ELEMENTS):
        file.seek(at)
        head = file.read(12)
        if not (opened or head.strip(b"\0")) and _is_blank(file, at):
            return None
        if not (opened or head.startswith(b"\x02\0")):  # what follows the file meta information may be big endian
            order = ">" if head[:1] == b"\0" and head[1:2] != b"\0" else "<"
        group, element = struct.unpack_from(f"{order}HH", head)
        explicit = head[4:6].isalpha() and head[4:6].isupper()
        if group != _META_GROUP:
            has_vrs = explicit if has_vrs is None else has_vrs
            explicit = explicit and has_vrs and group != _ITEM[0]
        if explicit and head[4:6] not in _LONG_VRS:
            length, value_at = struct.unpack_from(f"{order}H", head, 6)[0], at + 8
        else:
            length, value_at = (
                struct.unpack_from(f"{order}I", head, 8 if explicit else 4)[0],
                at + (12 if explicit else 8),
            )
        at = value_at if length == _TO_THE_END else value_at + length
        tag = (group, element)
        if tag in _ENDS:
            if not opened or (opened.pop() == _ITEM) != (tag == _ENDS[0]):
                raise _Disorder
            continue
        if not opened:
            if group == _ITEM[0]:
                raise _Disorder
            rises = rises and (tag > last or group == _META_GROUP == last[0])
            last = tag
            if tag == _STUDY_UID and length != _TO_THE_END:
                file.seek(value_at)
                value = file.read(min(length, _MAX_UID_BYTES)).decode("ascii", "ignore").strip("\0 ")
                if uid not in (None, value):
                    raise _Disorder
                uid = value
            if rises and tag >= _STUDY_UID:
                return uid or ""
            if group >= _PIXEL_GROUP:
                break
        if length == _TO_THE_END:
            opened.append(tag)
    if uid is None:
        raise _Disorder
    return uid


def _is_blank(file: BoundedReader, at: int) -> bool:
    """Whether the file ends there, or has nothing but zeros."""
    file.seek(at)
    return at <= file.size and not any(chunk.strip(b"\0") for chunk in iter(lambda: file.read(_AT_ONCE), b""))


class _Disorder(Exception):
    """Of the elements of a DICOM file."""


@contextmanager
def _opened(path: Path) -> Iterator[BoundedReader | None]:
    """None for what is no regular file or cannot be opened: whoever reads it says why."""
    try:
        file = open_regular_file(path)
    except UnreadableFile:
        yield None
        return
    with file:
        yield file
