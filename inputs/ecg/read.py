"""An uploaded ECG to a checked recording: recognise the format by its content, then hand over to one reader.

Third-party parsers run here. A service calls this through `inputs.guarded.reader`, never in its own process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inputs.ecg.archive import looks_like_zip, unpack
from inputs.ecg.formats import (
    csv,
    dicom,
    npy,
    wfdb,
)
from inputs.errors import NO_ROOM_TO_READ, InputError, UnreadableFile
from inputs.limits import MAX_ECG_FILE_BYTES
from inputs.opened import open_regular_file
from inputs.records import EcgRecording, InputWarning, UploadedFile

_READABLE = "Send WFDB (.hea with its .dat or .mat), DICOM ECG, NPY or CSV."

# Formats we recognise in order to say what the file is: (offset, bytes there, name).
_OTHERS = (
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"MATLAB 5.0", "a MATLAB 5 file"),
    (0, b"<?xml", "an XML file"),
    (0, b"\xef\xbb\xbf<?xml", "an XML file"),
    (0, b"0       ", "an EDF file"),
    (16, b"SCPECG", "an SCP-ECG file"),
    (0, b"ISHNE", "an ISHNE file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "an image"),
    (0, b"\xff\xd8\xff", "an image"),
)


def read_ecg(
    files: Sequence[UploadedFile],
    *,
    rate_hz: float | None = None,
    unit: str | None = None,
    leads: Sequence[str] | None = None,
) -> EcgRecording:
    """Read one ECG from the parts of an upload: a single file, a WFDB header with its files, or a zip of either.

    rate_hz, unit and leads describe NPY and CSV files, which may not do so themselves; other formats state their own.
    Raises UnreadableFile with a stable code and a hint, OSError when temporary files find no room (NO_ROOM_TO_READ).
    """
    try:
        return _read(files, rate_hz, unit, leads)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM_TO_READ:
            raise  # no room for temporary files: the file may be whole
        # Parsers raise a dozen unrelated types on damaged files, with header text in the message: drop it.
        raise UnreadableFile(
            "unreadable_file", "The file is damaged: it could not be read to the end.", hint=_READABLE
        ) from error


def read_ecg_path(
    path: Path, *, rate_hz: float | None = None, unit: str | None = None, leads: Sequence[str] | None = None
) -> EcgRecording:
    """Read one ECG from disk; a WFDB header takes the files it names from its own folder. Raises UnreadableFile."""
    return read_ecg(gather_files(path), rate_hz=rate_hz, unit=unit, leads=leads)


def gather_files(path: Path) -> list[UploadedFile]:
    """The file, and for a WFDB header also the signal files and segments beside it: what an upload would hold."""
    files = {path.name: _read_whole(path)}
    waiting = [path.name] if wfdb.looks_like_header(files[path.name]) else []
    while waiting:
        for name in wfdb.named_files(files[waiting.pop()]):
            beside = path.parent / name
            if name not in files and beside.exists():
                files[name] = _read_whole(beside)
                if name.endswith(".hea") and wfdb.looks_like_header(files[name]):
                    waiting.append(name)
    return [UploadedFile(name, data) for name, data in files.items()]


def _read(
    files: Sequence[UploadedFile], rate_hz: float | None, unit: str | None, leads: Sequence[str] | None
) -> EcgRecording:
    if len(files) == 1 and looks_like_zip(files[0].data):
        files = unpack(files[0].data)
    if not files or not any(file.data for file in files):
        raise UnreadableFile("file_empty", "The file is empty.", hint=_READABLE)
    headers = [file for file in files if wfdb.looks_like_header(file.data)]
    if headers:
        recording = _read_wfdb(files, headers, rate_hz)
    elif len(files) > 1:
        raise UnreadableFile("several_files", "The upload holds several files and no WFDB header.", hint=_READABLE)
    else:
        data = files[0].data
        if data.startswith(npy.MAGIC):
            return npy.read_npy(data, rate_hz=rate_hz, unit=unit, leads=leads)
        if not dicom.looks_like_dicom(data):
            return _read_table(data, rate_hz, unit, leads)
        recording = dicom.read_dicom(data, rate_hz=rate_hz)
    if unit is not None or leads is not None:
        message = "The file states its own units and lead names; the given ones were not used."
        recording = replace(recording, warnings=(*recording.warnings, InputWarning("parameter_ignored", message)))
    return recording


def _read_wfdb(files: Sequence[UploadedFile], headers: Sequence[UploadedFile], rate_hz: float | None) -> EcgRecording:
    masters = [file for file in headers if wfdb.is_multi_segment(file.data)] if len(headers) > 1 else headers
    if len(masters) != 1:
        raise UnreadableFile(
            "several_records", "The upload holds more than one WFDB record.", hint="Send one record at a time."
        )
    parts: dict[str, bytes] = {}
    for file in files:
        if file.name in parts:
            raise UnreadableFile("several_files", "Two files of the upload have the same name.")
        parts[file.name] = file.data
    return wfdb.read_wfdb(masters[0].data, parts, rate_hz=rate_hz)


def _read_table(data: bytes, rate_hz: float | None, unit: str | None, leads: Sequence[str] | None) -> EcgRecording:
    for offset, mark, what in _OTHERS:
        if data.startswith(mark, offset):
            raise UnreadableFile("unsupported_format", f"This is {what}, which is not read.", hint=_READABLE)
    if not csv.looks_like_table(data):
        raise UnreadableFile("unsupported_format", "The format of this file is not recognised.", hint=_READABLE)
    return csv.read_csv(data, rate_hz=rate_hz, unit=unit, leads=leads)


def _read_whole(path: Path) -> bytes:
    with open_regular_file(path) as file:
        if file.size > MAX_ECG_FILE_BYTES:
            raise UnreadableFile("file_too_large", f"The file is larger than {MAX_ECG_FILE_BYTES >> 20} MiB.")
        return file.read()
