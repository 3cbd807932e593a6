"""An uploaded ECG to a checked recording: recognise the format by its content, then hand over to its one reader.

Third-party parsers run here. A service calls this through `inputs.guarded.reader`, never in its own process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inputs.ecg.archive import looks_like_zip, unpack
from inputs.ecg.formats import FORMATS
from inputs.ecg.formats.base import EcgFormat
from inputs.ecg.formats.not_read import name_if_not_read
from inputs.errors import NO_ROOM_TO_READ, InputError, UnreadableFile
from inputs.limits import MAX_ECG_FILE_BYTES
from inputs.opened import open_regular_file
from inputs.records import NO_HINTS, EcgRecording, InputWarning, ReadHints, UploadedFile

_READABLE = "Send WFDB (.hea with its .dat or .mat), DICOM ECG, NPY or CSV."


def read_ecg(files: Sequence[UploadedFile], hints: ReadHints = NO_HINTS) -> EcgRecording:
    """Read one ECG from the parts of an upload: a single file, a WFDB header with its files, or a zip of either.

    The hints describe NPY and CSV files, which may not do so themselves; other formats state their own.
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
            "unreadable_file", "The file is damaged: it could not be read to the end.", hint=_READABLE
        ) from error


def read_ecg_path(path: Path, hints: ReadHints = NO_HINTS) -> EcgRecording:
    """Read one ECG from disk; a WFDB header takes the files it names from its own folder. Raises UnreadableFile."""
    return read_ecg(gather_files(path), hints)


def gather_files(path: Path) -> list[UploadedFile]:
    """The file and those beside it that its format says it needs, and these need in turn: what an upload would hold.

    Raises UnreadableFile.
    """
    files = {path.name: _read_whole(path)}
    waiting = [path.name]
    while waiting:
        for name in _companions(files[waiting.pop()]):
            beside = path.parent / name
            if name not in files and beside.exists():
                files[name] = _read_whole(beside)
                waiting.append(name)
    return [UploadedFile(name, data) for name, data in files.items()]


def _companions(data: bytes) -> tuple[str, ...]:
    return next((each.companions(data) for each in FORMATS if each.companions and each.recognises(data)), ())


def _read(files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording:
    if len(files) == 1 and looks_like_zip(files[0].data):
        files = unpack(files[0].data)
    if not any(file.data for file in files):
        raise UnreadableFile("file_empty", "The file is empty.", hint=_READABLE)
    for ecg_format in FORMATS:
        possible = len(files) == 1 or ecg_format.companions is not None
        if possible and any(ecg_format.recognises(file.data) for file in files):
            return _with_hints_ignored(ecg_format.read(files, hints), ecg_format, hints)
    if len(files) > 1:
        raise UnreadableFile("several_files", "The upload holds several files and no WFDB header.", hint=_READABLE)
    what = name_if_not_read(files[0].data)
    sentence = f"This is {what}, which is not read." if what else "The format of this file is not recognised."
    raise UnreadableFile("unsupported_format", sentence, hint=_READABLE)


def _with_hints_ignored(recording: EcgRecording, ecg_format: EcgFormat, hints: ReadHints) -> EcgRecording:
    """The recording, with a warning where a unit or leads were given for a file that states its own."""
    if not ecg_format.states_itself or (hints.unit is None and hints.leads is None):
        return recording
    message = "The file states its own units and lead names; the given ones were not used."
    return replace(recording, warnings=(*recording.warnings, InputWarning("parameter_ignored", message)))


def _read_whole(path: Path) -> bytes:
    with open_regular_file(path) as file:
        if file.size > MAX_ECG_FILE_BYTES:
            raise UnreadableFile("file_too_large", f"The file is larger than {MAX_ECG_FILE_BYTES >> 20} MiB.")
        return file.read()
