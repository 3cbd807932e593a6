"""Builders of ECG files, written here byte by byte so that readers are not tested with their own writers.

Also lets tests import the builders of tables and clips that lie in this folder.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian

from inputs.records import STANDARD_LEADS, EcgRecording, UploadedFile

sys.path.insert(0, str(Path(__file__).parent))

MDC_NUMBERS = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61, "aVR": 62, "aVL": 63,
               "aVF": 64}  # fmt: skip


class EcgBuilder:
    """Makes one invented ECG and writes it in every format we read."""

    leads = STANDARD_LEADS

    def signal_mv(self, seed: int = 0, rate_hz: float = 500.0, seconds: float = 10.0) -> np.ndarray:
        """(12, N) float64: beats with noise; III, aVR, aVL and aVF follow exactly from I and II."""
        random = np.random.default_rng(seed)
        time_s = np.arange(int(seconds * rate_hz)) / rate_hz
        phase = (time_s % 0.8) - 0.35
        beat = np.exp(-0.5 * (phase / 0.01) ** 2) + 0.25 * np.exp(-0.5 * ((phase - 0.25) / 0.04) ** 2)
        gain = random.uniform(0.4, 1.2, 8)
        one, two, *chest = gain[:, None] * beat + 0.01 * random.standard_normal((8, len(time_s)))
        return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest])

    def recording(self, signal_mv: np.ndarray | None = None, *, rate_hz: float = 500.0, leads=STANDARD_LEADS):
        signal_mv = self.signal_mv(rate_hz=rate_hz) if signal_mv is None else signal_mv
        return EcgRecording(np.asarray(signal_mv, np.float32), rate_hz, tuple(leads), "invented")

    def wfdb(
        self,
        signal_mv: np.ndarray | None = None,
        *,
        names: Sequence[str] = STANDARD_LEADS,
        rate: str = "500",
        gain: str = "1000(0)/mV",
        per_mv: float = 1000.0,
        name: str = "rec",
        file: str | None = None,
    ) -> list[UploadedFile]:
        """A header and a .dat in format 16."""
        signal_mv = self.signal_mv() if signal_mv is None else signal_mv
        counts = np.where(np.isnan(signal_mv), -32768, np.round(np.nan_to_num(signal_mv) * per_mv)).astype("<i2")
        file = file or f"{name}.dat"
        lines = [f"{name} {len(names)} {rate} {counts.shape[1]}"]
        for row, lead in zip(counts, names, strict=True):
            checksum = int(row.astype(np.int64).sum()) % 65536
            lines.append(f"{file} 16 {gain} 16 0 {row[0]} {checksum} 0 {lead}")
        header = "\n".join([*lines, "# <age>: 80 Family Name"]) + "\n"
        return [UploadedFile(f"{name}.hea", header.encode()), UploadedFile(file, counts.T.tobytes())]

    def dicom_group(
        self,
        signal_mv: np.ndarray,
        leads: Sequence[str] = STANDARD_LEADS,
        *,
        rate_hz: float = 500.0,
        originality: str = "ORIGINAL",
        unit: str = "uV",
        sensitivity: float = 1.0,
    ) -> Dataset:
        """One multiplex group; channels carry an MDC code and a misleading text, so that only the code helps."""
        group = Dataset()
        group.MultiplexGroupTimeOffset = 0
        group.WaveformOriginality = originality
        group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = signal_mv.shape
        group.SamplingFrequency = str(rate_hz)
        group.ChannelDefinitionSequence = DicomSequence([self._channel(lead, unit, sensitivity) for lead in leads])
        group.WaveformBitsAllocated = 16
        group.WaveformSampleInterpretation = "SS"
        per_mv = {"uV": 1000.0, "mV": 1.0, "mmHg": 1.0}[unit] / sensitivity
        counts = np.where(np.isnan(signal_mv), -32768, np.round(np.nan_to_num(signal_mv) * per_mv)).astype("<i2")
        group.add_new("WaveformData", "OW", counts.T.tobytes())
        return group

    def _channel(self, lead: str, unit: str, sensitivity: float) -> Dataset:
        source, units, channel = Dataset(), Dataset(), Dataset()
        source.CodeValue = f"2:{MDC_NUMBERS[lead]}"
        source.CodingSchemeDesignator = "MDC"
        source.CodeMeaning = "Lead V6"
        units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
        channel.ChannelSourceSequence = DicomSequence([source])
        channel.ChannelSensitivity = str(sensitivity)
        channel.ChannelSensitivityUnitsSequence = DicomSequence([units])
        channel.ChannelSensitivityCorrectionFactor = "1"
        channel.ChannelBaseline = "0"
        channel.WaveformBitsStored = 16
        return channel

    def dicom(
        self, *groups: Dataset, sop_class: str = "1.2.840.10008.5.1.4.1.1.9.1.1", syntax: str = ExplicitVRLittleEndian
    ) -> UploadedFile:
        """A part 10 file, with a patient in it."""
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
        dataset.Modality = "ECG"
        dataset.PatientName, dataset.PatientID = "Family^Name", "MRN-4471"
        if groups:
            dataset.WaveformSequence = DicomSequence(groups)
        stream = DicomBytesIO()
        dcmwrite(stream, dataset, enforce_file_format=True)
        return UploadedFile("ecg.dcm", stream.getvalue())

    def npy(self, array: np.ndarray, name: str = "ecg.npy") -> UploadedFile:
        stream = io.BytesIO()
        np.save(stream, array)
        return UploadedFile(name, stream.getvalue())

    def csv(self, signal_mv: np.ndarray | None = None, header: Sequence[str] = STANDARD_LEADS, separator: str = ","):
        signal_mv = self.signal_mv() if signal_mv is None else signal_mv
        rows = [separator.join(f"{value:.4f}" for value in column) for column in signal_mv.T]
        return UploadedFile("ecg.csv", "\n".join([separator.join(header), *rows]).encode())


@pytest.fixture(scope="session")
def ecg() -> EcgBuilder:
    return EcgBuilder()
