"""Mortara XML, written here letter by letter: a subject, a typical beat and rhythm channels."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from inputs.records import STANDARD_LEADS

_PROLOGUE = '<?xml version="1.0" encoding="UTF-8"?>\n'
SUBJECT = '<SUBJECT LAST_NAME="Family" FIRST_NAME="Name" ID="MRN-4471" DOB="19400102" />\n'


def attributes(values: Mapping[str, object]) -> str:
    """`name="value"` of each that is not None."""
    return " ".join(f'{name}="{value}"' for name, value in values.items() if value is not None)


def mortara_channel(name: str, signal_mv: np.ndarray, tag: str = "CHANNEL", **changed: object) -> str:
    """A channel of 1000 units a millivolt; what is None in `changed` is left out."""
    counts = np.where(np.isnan(signal_mv), -32768, np.round(1000 * np.nan_to_num(signal_mv))).astype("<i2")
    stated = {
        "OFFSET": 0,
        "BITS": 16,
        "FORMAT": "SIGNED",
        "UNITS_PER_MV": 1000,
        "DURATION": len(counts),
        "NAME": name,
        "SAMPLE_FREQ": 500,
        "ENCODING": "BASE64",
        "DATA": base64.b64encode(counts.tobytes()).decode(),
    }
    return f"<{tag} {attributes({**stated, **changed})} />\n"


def mortara_channels(signal_mv: np.ndarray, names: Sequence[str] = STANDARD_LEADS, **changed: object) -> str:
    """Channels that state the same."""
    return "".join(mortara_channel(name, row, **changed) for name, row in zip(names, signal_mv, strict=True))


def mortara_cycle(signal_mv: np.ndarray, tag: str = "TYPICAL_CYCLE_CHANNEL") -> str:
    """The first 1.2 s, three times as high, as typical beat, with its measurements."""
    channels = "".join(
        mortara_channel(name, 3 * row[:600], tag) for name, row in zip(STANDARD_LEADS, signal_mv, strict=True)
    )
    return f'<TYPICAL_CYCLE PR_DURATION="160" QRS_DURATION="96" QT="400" QTC="420">\n{channels}</TYPICAL_CYCLE>\n'


def mortara_file(*parts: str, prologue: str = _PROLOGUE) -> bytes:
    """A file of a subject and what is given."""
    source = '<SOURCE TYPE="WAM" MANUFACTURER="Mortara Instrument, Inc." MODEL="ELI 280" LOW_PASS_FILTER="150" />\n'
    root = '<ECG ACQUISITION_TIME="20260102030405" VENT_RATE="72">\n'
    return (f"{prologue}{root}{source}{SUBJECT}" + "".join(parts) + "</ECG>\n").encode()
