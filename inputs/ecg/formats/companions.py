"""Which part of an upload a file means that names others, as a WFDB header names its signal files.

People rename folders and copy through systems that change letters to capitals, so a name counts without its folder
and, where nothing fits to the letter, without its case. What fits twice is nobody's guess to make.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from inputs.errors import UnreadableFile

_ENDING_LEFT_OUT = ".dat"
"""What a header may leave out of a signal file's name."""

_POINTERS = (b"version https://git-lfs", b"/annex/objects/", b"../.git/annex/")
_MOST_BYTES_OF_A_POINTER = 1024


def check_fetched(data: bytes) -> None:
    """Refuse the few letters that Git LFS and git-annex put in place of a large file that was never fetched."""
    if len(data) <= _MOST_BYTES_OF_A_POINTER and any(mark in data for mark in _POINTERS):
        raise UnreadableFile(
            "file_not_fetched",
            "A file is a pointer of Git LFS or git-annex, not the file itself.",
            hint="Fetch the data first, as with `git lfs pull`, and send the files themselves.",
        )


def fitting(name: str, names: Sequence[str]) -> int | None:
    """The place among `names` of the one that `name`, a plain name without folders, stands for; None without one.

    The first of these that fits any decides: the same name; the same but for capitals; the same but for an ending
    that was left out. Raises UnreadableFile where it fits two.
    """
    for places in _ways(name, [_base(each) for each in names]):
        found = list(places)
        if len(found) > 1:
            raise UnreadableFile("several_files", "Two files of the upload have the same name.")
        if found:
            return found[0]
    return None


def _ways(name: str, bases: Sequence[str]) -> Iterable[Iterable[int]]:
    folded = name.casefold()
    yield (place for place, base in enumerate(bases) if base == name)
    yield (place for place, base in enumerate(bases) if base.casefold() == folded)
    if not PurePosixPath(name).suffix:
        yield (place for place, base in enumerate(bases) if base.casefold() == folded + _ENDING_LEFT_OUT)


def _base(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]
