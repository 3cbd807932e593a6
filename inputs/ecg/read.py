"""An uploaded ECG to a checked recording: recognise the format by its content, then hand over to its one reader.

Third-party parsers run here. A service calls this through `inputs.guarded.reader`, never in its own process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from inputs.ecg.archive import unpack
from inputs.ecg.formats.base import EcgFormat
from inputs.ecg.formats.companions import fitting
from inputs.ecg.formats.given import check_leads
from inputs.ecg.formats.not_read import not_read, refused_as, what_it_is
from inputs.ecg.parts import named_beside, the_one_record
from inputs.ecg.readable import READABLE
from inputs.errors import NO_ROOM_TO_READ, InputError, UnreadableFile
from inputs.limits import MAX_ECG_FILE_BYTES, MAX_UPLOAD_PARTS
from inputs.opened import File, PlacedFile, open_regular_file
from inputs.records import NO_HINTS, EcgRecording, InputWarning, ReadHints, UploadedFile
from inputs.zipped import looks_like_zip

_SEND = f"Send {READABLE}."


def read_ecg(files: Sequence[UploadedFile], hints: ReadHints = NO_HINTS) -> EcgRecording:
    """Read one ECG from the parts of an upload: a single file, a WFDB header with its files, or a zip of either.

    Parts that are no ECG and named by none are left out, with a warning; another ECG among them is refused.

    The hints describe files that do not do so themselves, such as NPY and CSV; other formats state their own.
    Raises UnreadableFile with a stable code and a hint, OSError when temporary files find no room (NO_ROOM_TO_READ).
    """
    try:
        return _read(files, hints)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM_TO_READ:
            raise  # no room for temporary files: the file may be whole
        # Parsers raise a dozen unrelated types on damaged files, with header text in the message: drop it.
        raise UnreadableFile(
            "unreadable_file", "The file is damaged: it could not be read to the end.", hint=_SEND
        ) from error


def read_ecg_path(path: Path, hints: ReadHints = NO_HINTS) -> EcgRecording:
    """Read one ECG from disk; a WFDB header takes the files it names from its own folder. Raises UnreadableFile."""
    return read_ecg(gather_files(path), hints)


def gather_files(path: File) -> list[UploadedFile]:
    """The file and those beside it that its format says it needs, and these need in turn: what an upload would hold.

    Beside a link is beside it, or beside what it leads to. Raises UnreadableFile.
    """
    first = path if isinstance(path, PlacedFile) else PlacedFile(path)
    files = {first.path.name: _read_whole(first)}
    folders = [first.path.parent]
    if first.under and (real := first.path.resolve().parent) != folders[0]:
        folders.append(real)
    waiting = [first.path.name]
    while waiting:
        for name in named_beside(files[waiting.pop()]):
            there = next((found for folder in folders if (found := _beside(folder, name)) is not None), None)
            if there is not None and there.name not in files:
                files[there.name] = _read_whole(replace(first, path=there))
                waiting.append(there.name)
                _check_gathered(files)
    return [UploadedFile(name, data) for name, data in files.items()]


def _beside(folder: Path, name: str) -> Path | None:
    """The file in a folder that `name` stands for; None where there is none. Raises UnreadableFile."""
    if (folder / name).exists():
        return folder / name
    names = sorted(os.listdir(folder or "."))
    place = fitting(name, names)
    return None if place is None else folder / names[place]


def _check_gathered(files: Mapping[str, bytes]) -> None:
    """A record of many files is held to what one file may be: this process has no limits of its own."""
    if len(files) > MAX_UPLOAD_PARTS:
        raise UnreadableFile("too_many_files", f"The record has more than {MAX_UPLOAD_PARTS} files.")
    if sum(map(len, files.values())) > MAX_ECG_FILE_BYTES:
        raise UnreadableFile(
            "file_too_large", f"The files of the record are larger than {MAX_ECG_FILE_BYTES >> 20} MiB."
        )


def _read(files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording:
    if len(files) == 1 and looks_like_zip(files[0].data):
        files = unpack(files[0].data)
    if not any(file.data for file in files):
        raise UnreadableFile("file_empty", "The file is empty.", hint=_SEND)
    if any(looks_like_zip(file.data) for file in files):
        raise UnreadableFile("several_files", "A zip is read only where it is the one file of an upload.")
    record = the_one_record(files)
    if record is None:
        raise _not_read(files)
    recording = record.ecg_format.read(record.files, hints)
    return _with_files_ignored(_with_hints_ignored(recording, record.ecg_format, hints), record.left_out)


def _not_read(files: Sequence[UploadedFile]) -> UnreadableFile:
    marked = next((found for file in files if (found := not_read(file.data))), None)
    found = marked or next((found for file in files if (found := what_it_is(file.data))), None)
    hint = _SEND if found is None else found.hint
    if len(files) > 1:
        one = f"; one is {found.what}, which is not read" if found else ""
        return UnreadableFile("several_files", f"None of the {len(files)} files is an ECG{one}.", hint=hint)
    if found is None:
        return UnreadableFile("unsupported_format", "The format of this file is not recognised.", hint=hint)
    return refused_as(found)


def _with_files_ignored(recording: EcgRecording, left_out: int) -> EcgRecording:
    """The recording, with a warning where parts of the upload are none of its files."""
    if not left_out:
        return recording
    if left_out == 1:
        message = "1 file of the upload does not belong to this ECG and was not read."
    else:
        message = f"{left_out} files of the upload do not belong to this ECG and were not read."
    return replace(recording, warnings=(*recording.warnings, InputWarning("files_ignored", message)))


def _with_hints_ignored(recording: EcgRecording, ecg_format: EcgFormat, hints: ReadHints) -> EcgRecording:
    """The recording, with a warning for what was given and the format of the file has no use for.

    Raises UnreadableFile for names of leads that contradict the file's own.
    """
    ignored = []
    if ecg_format.states_itself and not ecg_format.checks_unit and hints.unit is not None:
        ignored.append("The format of this file has its own unit, which was used; the given one was not.")
    if "exam" not in ecg_format.chooses and hints.exam is not None:
        ignored.append("No exam is chosen from files of this format; the given one was not used.")
    if "stretch" not in ecg_format.chooses and (hints.start_s is not None or hints.length_s is not None):
        ignored.append("Files of this format are read whole; start_s and length_s were not used.")
    warnings = [InputWarning("parameter_ignored", message) for message in ignored]
    if ecg_format.states_itself:
        warnings += check_leads(hints.leads, recording.lead_names)
    return replace(recording, warnings=(*recording.warnings, *warnings)) if warnings else recording


def _read_whole(path: PlacedFile) -> bytes:
    with open_regular_file(path) as file:
        if file.size > MAX_ECG_FILE_BYTES:
            raise UnreadableFile("file_too_large", f"The file is larger than {MAX_ECG_FILE_BYTES >> 20} MiB.")
        return file.read()
