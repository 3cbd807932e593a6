"""GE MUSE XML, written here letter by letter: a patient, a median beat and a rhythm."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from inputs.records import STANDARD_LEADS

STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
PEOPLE = (
    "<PatientDemographics><PatientID>MRN-4471</PatientID><PatientLastName>Family</PatientLastName>"
    "</PatientDemographics>"
)
_PROLOGUE = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'


def elements(values: Mapping[str, object]) -> str:
    """`<name>value</name>` of each that is not None."""
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items() if value is not None)


def muse_lead(name: str, signal_mv: np.ndarray, **changed: object) -> str:
    """A LeadData of 1 microvolt a bit; what is None in `changed` is left out."""
    counts = np.where(np.isnan(signal_mv), -32768, np.round(1000 * np.nan_to_num(signal_mv))).astype("<i2")
    data = counts.tobytes()
    return f"<LeadData>{elements({**_stated(name, data), **changed})}</LeadData>\n"


def _stated(name: str, data: bytes) -> dict[str, object]:
    return {
        "LeadByteCountTotal": len(data),
        "LeadTimeOffset": 0,
        "LeadSampleCountTotal": len(data) // 2,
        "LeadAmplitudeUnitsPerBit": "1.0",
        "LeadAmplitudeUnits": "MICROVOLTS",
        "LeadID": name,
        "LeadOffsetFirstSample": 0,
        "FirstSampleBaseline": 0,
        "LeadSampleSize": 2,
        "LeadOff": "FALSE",
        "LeadDataCRC32": zlib.crc32(data),
        "WaveFormData": "\n" + base64.encodebytes(data).decode(),
    }


def muse_waveform(kind: str | None, leads: Sequence[str], **changed: object) -> str:
    """A Waveform around LeadData elements."""
    stated = {
        "WaveformType": kind,
        "WaveformStartTime": 0,
        "NumberofLeads": len(leads),
        "SampleType": "CONTINUOUS_SAMPLES",
        "SampleBase": 500,
        "SampleExponent": 0,
        "HighPassFilter": 16,
        "LowPassFilter": 150,
        "ACFilter": "NONE",
    }
    return f"<Waveform>{elements({**stated, **changed})}\n{''.join(leads)}</Waveform>\n"


def muse_rhythm(signal_mv: np.ndarray, names: Sequence[str] = STANDARD_LEADS, **changed: object) -> str:
    """A Rhythm of leads that state the same."""
    leads = [muse_lead(name, row, **changed) for name, row in zip(names, signal_mv, strict=True)]
    return muse_waveform("Rhythm", leads)


def muse_median(signal_mv: np.ndarray, names: Sequence[str] = STANDARD_LEADS) -> str:
    """The first 1.2 s, three times as high, as median beat."""
    leads = [muse_lead(name, 3 * row[:600]) for name, row in zip(names, signal_mv, strict=True)]
    return muse_waveform("Median", leads)


def muse_file(*parts: str, prologue: str = _PROLOGUE) -> bytes:
    """A file of a patient and what is given."""
    return (f"{prologue}<RestingECG>\n{PEOPLE}\n" + "".join(parts) + "</RestingECG>\n").encode("iso-8859-1")
