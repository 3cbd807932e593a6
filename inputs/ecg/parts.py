"""Which parts of an upload are the one ECG that is asked about. Every part is accounted for, so that no answer is of
another ECG than the sender means.

A record is a file that a format recognises and the files that it names, those name in turn, and so on. Any other part
that is an ECG too makes the upload ambiguous; what is none (notes, annotations, checksums) is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from inputs.ecg.formats import FORMATS
from inputs.ecg.formats.base import EcgFormat
from inputs.ecg.formats.companions import check_fetched, fitting
from inputs.ecg.formats.not_read import ecg_if_not_read, name_if_not_read
from inputs.errors import UnreadableFile
from inputs.records import UploadedFile

_VAL_IN_MATLAB_4 = b"\0\0\0\0\4\0\0\0val\0"
"""What stands at byte 12 of a real matrix `val`, as the PhysioNet challenges store their signals."""


@dataclass(frozen=True)
class Record:
    """One ECG of an upload: its format, its files, the recognised one first, and how many parts are none of its."""

    ecg_format: EcgFormat
    files: tuple[UploadedFile, ...]
    left_out: int


def the_one_record(files: Sequence[UploadedFile]) -> Record | None:
    """The ECG of an upload, None where no format recognises a part. Raises UnreadableFile where there are several."""
    found = _found(files, EcgFormat.is_sure_of)
    sure = bool(found)
    if not sure:
        # Perhaps damaged: the format that might be meant shall say what is wrong, the wide ones last. What bears the
        # mark of another kind is no damaged ECG.
        found = _found(files, lambda each, data: each.recognises(data) and name_if_not_read(data) is None)
        found = [each for each in found if each.ecg_format is found[0].ecg_format]
    if not found:
        _refuse_signal_files(files)
        return None
    of_records = {place for each in found for place in each.places}
    rest = [file for place, file in enumerate(files) if place not in of_records]
    names = [each.ecg_format.name.upper() for each in found]
    names += [name for file in rest if (name := ecg_if_not_read(file.data))]
    if len(names) > 1:
        kinds = ", ".join(f"{count} {name}" for name, count in Counter(names).items())
        what = "more than one ECG" if sure else "several files that may be ECGs"
        raise UnreadableFile("several_ecgs", f"The upload holds {what} ({kinds}).", hint="Send one ECG at a time.")
    (only,) = found
    _check_one_place([files[place].name for place in only.places])
    return Record(only.ecg_format, tuple(files[place] for place in only.places), len(rest))


def _check_one_place(names: Sequence[str]) -> None:
    """Refuse a record of files from beside each other's folders: folders of patients hold files of the same names."""
    header, *others = [PurePosixPath(name.replace("\\", "/")).parent for name in names]
    if all(header.is_relative_to(folder) or folder.is_relative_to(header) for folder in others):
        return
    raise UnreadableFile(
        "files_apart",
        "The header and a file that it names lie in different folders of the upload: they may be of two recordings.",
        hint="Send the files of one record from one folder.",
    )


def _refuse_signal_files(files: Sequence[UploadedFile]) -> None:
    """Refuse what lacks its header by what it needs. Bytes of samples have no mark: their name is all that tells."""
    endings = {PurePosixPath(file.name).suffix.lower() for file in files}
    for file in files:
        check_fetched(file.data)
    if any(name_if_not_read(file.data) for file in files):
        return
    if ".hea" in endings:
        raise UnreadableFile(
            "unreadable_file",
            "The .hea file of the upload is no WFDB header: it lacks a record line, or the signal lines below it.",
            hint="A header starts with the record's name, its number of signals and its sampling rate; each line below "
            "names a signal's file.",
        )
    if any(file.data.startswith(_VAL_IN_MATLAB_4, 12) for file in files):
        raise UnreadableFile(
            "file_missing",
            "This is the MATLAB 4 file of a PhysioNet record, which is not read without its header.",
            hint="Send the .hea file of the same name with it, or both as one zip.",
        )
    if ".dat" in endings:
        raise UnreadableFile(
            "file_missing",
            "This looks like a WFDB signal file (.dat), which is not read without its header.",
            hint="Send the .hea file of the same name with it, or both as one zip.",
        )


def named_beside(data: bytes) -> tuple[str, ...]:
    """The files that one needs beside itself, where its format has such. Raises UnreadableFile."""
    return next((each.companions(data) for each in FORMATS if each.companions and each.is_sure_of(data)), ())


@dataclass(frozen=True)
class _Found:
    """A record by the places of its parts in the upload, the recognised one first."""

    ecg_format: EcgFormat
    places: tuple[int, ...]


def _found(files: Sequence[UploadedFile], recognises: Callable[[EcgFormat, bytes], bool]) -> list[_Found]:
    """A record for each recognised part that no other one names, in the order of the formats."""
    formats: dict[int, EcgFormat] = {}
    for ecg_format in FORMATS:
        for place, file in enumerate(files):
            if place not in formats and recognises(ecg_format, file.data):
                formats[place] = ecg_format
    found = [_Found(ecg_format, _with_named(place, ecg_format, files)) for place, ecg_format in formats.items()]
    named = {place for each in found for place in each.places[1:]}
    # Two that name each other are both named: one of them is asked what is wrong.
    return [each for each in found if each.places[0] not in named] or found[:1]


def _with_named(first: int, ecg_format: EcgFormat, files: Sequence[UploadedFile]) -> tuple[int, ...]:
    """A recognised part and those that it names, and these name. Of one that is not there the reader will speak."""
    if ecg_format.companions is None:
        return (first,)
    places = [first]
    for place in places:  # which grow meanwhile
        data = files[place].data
        for name in ecg_format.companions(data) if place == first else named_beside(data):
            part = fitting(name, [file.name for file in files])
            if part is not None and part not in places:
                places.append(part)
    return tuple(places)
