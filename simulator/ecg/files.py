"""Simulated ECGs as the files that archives hold: WFDB records and DICOM 12-lead waveforms."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage

from inputs.records import STANDARD_LEADS
from simulator.dicom_identity import IMPLEMENTATION, derived_uid
from simulator.ecg.recorder import EcgRecorder

# Lead numbers are shared by both vocabularies: SCPECG writes 5.6.3-9-1, MDC (ISO/IEEE 11073-10101) writes 2:1.
_LEAD_NUMBER = dict(zip(STANDARD_LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
_SCPECG_SITE = 0


def write_ecg(
    signal_LN: NDArray[np.float32],
    path_stem: Path,
    *,
    recorder: EcgRecorder,
    patient_id: str,
    ecg_id: str,
    acquired_at: datetime,
) -> Path:
    """Write (12, N) millivolt, leads as in STANDARD_LEADS, beside `path_stem` in the recorder's format.

    Returns the file a reader opens: the `.dcm`, or the `.hea` whose `.dat` lies next to it. `path_stem`'s folder must
    exist; WFDB takes letters, digits, hyphens and underscores in its name.
    """
    leads = _file_order(recorder)
    rows = [STANDARD_LEADS.index(lead) for lead in leads]
    counts_LN = np.rint(signal_LN[rows] * (1000.0 / recorder.resolution_uv))
    counts_LN = np.clip(counts_LN, -32767, 32767).astype("<i2")  # WFDB: -32768 means a missing sample
    if recorder.file_kind == "wfdb":
        return _write_wfdb(counts_LN, path_stem, leads, recorder)
    return _write_dicom(counts_LN, path_stem, leads, recorder, patient_id, ecg_id, acquired_at)


def _file_order(recorder: EcgRecorder) -> tuple[str, ...]:
    return (*STANDARD_LEADS[:3], *recorder.augmented_order.split(), *STANDARD_LEADS[6:])


def _write_wfdb(counts_LN: NDArray[np.int16], path_stem: Path, leads: tuple[str, ...], recorder: EcgRecorder) -> Path:
    """One signal file of interleaved 16-bit samples, then the header (header(5) of the WFDB format) that names it."""
    data = path_stem.with_suffix(".dat")
    data.write_bytes(counts_LN.T.tobytes())
    gain = f"{1000.0 / recorder.resolution_uv:.10g}"
    lines = [f"{path_stem.name} {len(leads)} {recorder.rate_hz} {counts_LN.shape[1]}"]
    for lead, counts_N in zip(leads, counts_LN, strict=True):
        checksum = int(counts_N.sum(dtype=np.int64)) % 65536
        checksum -= 65536 if checksum > 32767 else 0
        lines.append(f"{data.name} 16 {gain}(0)/mV 16 0 {counts_N[0]} {checksum} 0 {lead}")
    lines.append("# Invented by a simulator; not from a patient.")
    header = path_stem.with_suffix(".hea")
    header.write_text("\n".join(lines) + "\n", encoding="ascii")
    return header


def _write_dicom(
    counts_LN: NDArray[np.int16],
    path_stem: Path,
    leads: tuple[str, ...],
    recorder: EcgRecorder,
    patient_id: str,
    ecg_id: str,
    acquired_at: datetime,
) -> Path:
    path = path_stem.with_suffix(".dcm")
    instance = derived_uid(f"{ecg_id}/instance")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = TwelveLeadECGWaveformStorage
    meta.MediaStorageSOPInstanceUID = instance
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = TwelveLeadECGWaveformStorage
    dataset.SOPInstanceUID = instance
    dataset.StudyInstanceUID = derived_uid(f"{ecg_id}/study")
    dataset.SeriesInstanceUID = derived_uid(f"{ecg_id}/series")
    dataset.Modality = "ECG"
    dataset.Manufacturer = "Invented"
    dataset.ManufacturerModelName = "simulator"
    dataset.PatientName = "Invented^Patient"
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.StudyID = ""
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.StudyDate = dataset.ContentDate = acquired_at.strftime("%Y%m%d")
    dataset.StudyTime = dataset.ContentTime = acquired_at.strftime("%H%M%S")
    dataset.AcquisitionDateTime = acquired_at.strftime("%Y%m%d%H%M%S")
    dataset.AcquisitionContextSequence = Sequence([])

    group = Dataset()
    group.MultiplexGroupTimeOffset = 0
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(leads)
    group.NumberOfWaveformSamples = counts_LN.shape[1]
    group.SamplingFrequency = recorder.rate_hz
    group.MultiplexGroupLabel = "RHYTHM"
    group.ChannelDefinitionSequence = Sequence([_channel(lead, recorder) for lead in leads])
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformData = counts_LN.T.tobytes()
    dataset.WaveformSequence = Sequence([group])
    dataset.save_as(path, enforce_file_format=True)
    return path


def _channel(lead: str, recorder: EcgRecorder) -> Dataset:
    """One channel's definition; which vocabulary names the lead depends on the hospital's machines."""
    number = _LEAD_NUMBER[lead]
    channel = Dataset()
    if recorder.site == _SCPECG_SITE:
        source = _code(f"5.6.3-9-{number}", "SCPECG", f"Lead {lead}", version="1.3")
    else:
        source = _code(f"2:{number}", "MDC", f"Lead {lead}")
    channel.ChannelSourceSequence = Sequence([source])
    channel.ChannelSensitivity = recorder.resolution_uv
    channel.ChannelSensitivityUnitsSequence = Sequence([_code("uV", "UCUM", "microvolt", version="1.4")])
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = 0
    channel.ChannelSampleSkew = 0
    channel.WaveformBitsStored = 16
    channel.FilterLowFrequency = recorder.highpass_hz
    channel.FilterHighFrequency = recorder.lowpass_hz
    return channel


def _code(value: str, scheme: str, meaning: str, *, version: str = "") -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = scheme
    if version:
        code.CodingSchemeVersion = version
    code.CodeMeaning = meaning
    return code
