"""What a folder holds that nobody has described: ECGs and echo studies, told apart by their first bytes."""

from __future__ import annotations

import os
from pathlib import Path

from inputs.ecg.formats import FORMATS as ECG_FORMATS
from inputs.echo.formats import FORMATS as ECHO_FORMATS
from inputs.echo.studies import studies_in
from inputs.errors import UnreadableFile
from inputs.opened import open_regular_file

_START_BYTES = 64 * 1024
_ECG_STORAGE = b"1.2.840.10008.5.1.4.1.1.9."
"""The beginning of every DICOM class of waveforms: a clip may be DICOM too."""


def ecgs_and_studies(folder: Path) -> tuple[int, int]:
    """How many ECGs and how many echo studies lie in a folder and below it. Links are not followed."""
    n_ecgs = n_clips = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            start = _start_of(Path(parent, name))
            if any(echo_format.recognises(start) for echo_format in ECHO_FORMATS) and _ECG_STORAGE not in start:
                n_clips += 1
            elif any(ecg_format.is_sure_of(start) for ecg_format in ECG_FORMATS):
                n_ecgs += 1
    if n_clips == 0:
        return n_ecgs, 0
    try:
        return n_ecgs, sum(_holds_clips(study.files) for study in studies_in(folder))
    except UnreadableFile:  # too large a tree to be searched
        return n_ecgs, n_clips


def _holds_clips(files: tuple[Path, ...]) -> bool:
    starts = map(_start_of, files)
    return any(
        _ECG_STORAGE not in start and any(echo_format.recognises(start) for echo_format in ECHO_FORMATS)
        for start in starts
    )


def _start_of(path: Path) -> bytes:
    """Nothing of what cannot be opened."""
    try:
        with open_regular_file(path) as file:
            return file.read(_START_BYTES)
    except (UnreadableFile, OSError):
        return b""
