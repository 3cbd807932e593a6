"""Formats that are recognised only to say what the file is, when it is refused."""

from __future__ import annotations

# (offset, bytes there, name).
_MARKS = (
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "an image"),
    (0, b"\xff\xd8\xff", "an image"),
)

_ECGS = {"an EDF file": "EDF", "an SCP-ECG file": "SCP-ECG", "an ISHNE file": "ISHNE"}
"""Those that hold recordings and nothing else."""


def name_if_not_read(data: bytes) -> str | None:
    """What the file is, as in "an EDF file", when it bears the mark of a format that is not read."""
    return next((name for offset, mark, name in _MARKS if data.startswith(mark, offset)), None)


def ecg_if_not_read(data: bytes) -> str | None:
    """The format of an ECG that is recognised and not read, as in "EDF"; None for what may be something else."""
    name = name_if_not_read(data)
    return None if name is None else _ECGS.get(name)
