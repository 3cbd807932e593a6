"""Writes clips and stills as machines export them: DICOM Ultrasound Multi-frame (JPEG baseline or uncompressed) and
MJPEG AVI for clips, single-frame DICOM Ultrasound for spectral stills. Clips of the light path are files of our own.

The same clip and identifiers give the same bytes. Files carry pseudonyms only: no name, birth date or burned-in text.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import simplejpeg
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from safetensors.numpy import save_file

from inputs.records import PreparedFor
from simulator.dicom_identity import IMPLEMENTATION, derived_uid
from simulator.echo.machine import Picture
from simulator.echo.spectral import SpectralStill
from simulator.echo.views import RenderedClip

ClipFormat = Literal["dicom_jpeg", "dicom_raw", "avi"]

_FRAME_TIME = Tag(0x0018, 0x1063)
_SPATIAL_2D, _TISSUE, _COLOUR_FLOW, _CENTIMETRE = 1, 1, 2, 3
_SPATIAL_SPECTRAL, _SECOND, _CENTIMETRE_PER_SECOND = 3, 4, 7
_DOPPLER = {"pulsed": 3, "continuous": 4}
"""RegionDataType (PS3.3 C.8.5.5.1.2)."""


def write_clip(
    clip: RenderedClip,
    path_stem: Path,
    kind: ClipFormat,
    *,
    patient_id: str,
    study_id: str,
    view_id: str,
    acquired_at: datetime,
    uid_seed: int,
) -> Path:
    """Clip -> `path_stem` with .dcm or .avi appended; returns that path. ValueError for another kind.

    An AVI holds frames and rate only; identifiers and time go into DICOM. UIDs follow from `uid_seed` and the
    identifiers, under the 2.25 root for UUIDs, so that clips of one study share its Study Instance UID.
    """
    if kind == "avi":
        path = path_stem.with_name(path_stem.name + ".avi")
        _write_avi(clip, path)
        return path
    if kind not in ("dicom_jpeg", "dicom_raw"):
        raise ValueError(f"kind must be dicom_jpeg, dicom_raw or avi, not {kind!r}")
    path = path_stem.with_name(path_stem.name + ".dcm")
    study = (str(uid_seed), patient_id, study_id)
    syntax = ExplicitVRLittleEndian if kind == "dicom_raw" else JPEGBaseline8Bit
    dataset = _new_dataset(study, view_id, UltrasoundMultiFrameImageStorage, syntax)
    _describe_study(dataset, patient_id, study_id, acquired_at)
    _describe_cine(dataset, clip)
    if kind == "dicom_raw":
        dataset.PhotometricInterpretation = "RGB"
        dataset.LossyImageCompression = "00"
        pixels = clip.frames_THWC.tobytes()
        dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
        dataset["PixelData"].VR = "OB"
    else:
        _compress(dataset, clip.frames_THWC, clip.jpeg_quality)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_prepared(frames_THWC: Picture, path_stem: Path, prepared_for: PreparedFor) -> Path:
    """Frames of the light path -> `path_stem` with .safetensors appended, read by `inputs.echo.prepared_clip`.

    What they were prepared for stands in the file. ValueError for frames of another number or size.
    """
    side = prepared_for.size
    if not 0 < len(frames_THWC) <= prepared_for.frames or frames_THWC.shape[1:] != (side, side, 3):
        raise ValueError(f"frames of shape {frames_THWC.shape} are not as {prepared_for} says")
    path = path_stem.with_name(path_stem.name + ".safetensors")
    said = json.dumps(asdict(prepared_for))
    save_file({"frames": np.ascontiguousarray(frames_THWC)}, path, metadata={"prepared_for": said})
    return path


def write_still(
    still: SpectralStill,
    path_stem: Path,
    *,
    patient_id: str,
    study_id: str,
    view_id: str,
    acquired_at: datetime,
    uid_seed: int,
) -> Path:
    """A spectral still -> `path_stem` with .dcm appended, of one study with its clips; returns that path.

    Its region says that it is a spectrum, and gives time and velocity of each pixel.
    """
    path = path_stem.with_name(path_stem.name + ".dcm")
    study = (str(uid_seed), patient_id, study_id)
    dataset = _new_dataset(study, view_id, UltrasoundImageStorage, JPEGBaseline8Bit)
    _describe_study(dataset, patient_id, study_id, acquired_at)
    _describe_pixels(dataset, still.frame_HWC)
    dataset.SequenceOfUltrasoundRegions = DicomSequence([_spectral_region(still)])
    _compress(dataset, still.frame_HWC[None], still.jpeg_quality)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _compress(dataset: Dataset, frames_THWC: Picture, quality: int) -> None:
    frames = _jpeg_frames(frames_THWC, quality)
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.LossyImageCompressionRatio = round(frames_THWC.nbytes / sum(map(len, frames)), 1)
    dataset.PixelData = encapsulate(frames, has_bot=True)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _jpeg_frames(frames_THWC: Picture, quality: int) -> list[bytes]:
    return [
        simplejpeg.encode_jpeg(frame, quality=quality, colorspace="RGB", colorsubsampling="422", fastdct=False)
        for frame in frames_THWC
    ]


def _new_dataset(study: tuple[str, ...], view_id: str, sop_class: UID, transfer_syntax: UID) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = _uid(*study, view_id)
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = _uid(*study, view_id)
    dataset.StudyInstanceUID = _uid(*study)
    dataset.SeriesInstanceUID = _uid(*study, "series")
    return dataset


def _describe_study(dataset: Dataset, patient_id: str, study_id: str, acquired_at: datetime) -> None:
    dataset.PatientID = patient_id
    dataset.StudyID = study_id[:16]
    dataset.Modality = "US"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    for empty in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName"):
        setattr(dataset, empty, "")
    dataset.Manufacturer = "Simulated"
    date, time = acquired_at.strftime("%Y%m%d"), acquired_at.strftime("%H%M%S")
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = time
    dataset.AcquisitionDateTime = acquired_at.strftime("%Y%m%d%H%M%S%z")
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.BurnedInAnnotation = "NO"


def _describe_pixels(dataset: Dataset, frame_HWC: Picture) -> None:
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = frame_HWC.shape
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0


def _describe_cine(dataset: Dataset, clip: RenderedClip) -> None:
    _describe_pixels(dataset, clip.frames_THWC[0])
    dataset.NumberOfFrames = len(clip.frames_THWC)
    dataset.FrameIncrementPointer = _FRAME_TIME
    dataset.FrameTime = f"{1000.0 / clip.frame_rate_hz:.6f}"
    dataset.CineRate = round(clip.frame_rate_hz)
    dataset.UltrasoundColorDataPresent = int(clip.colour)
    regions = [_region(clip, _TISSUE)]
    if clip.colour:
        regions.append(_region(clip, _COLOUR_FLOW))
    dataset.SequenceOfUltrasoundRegions = DicomSequence(regions)


def _region(clip: RenderedClip, data_type: int) -> Dataset:
    region = _region_at(clip.region_px, _SPATIAL_2D, data_type)
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CENTIMETRE
    region.PhysicalDeltaX = region.PhysicalDeltaY = clip.cm_per_px
    return region


def _spectral_region(still: SpectralStill) -> Dataset:
    """The reference pixel is where the baseline meets the moment of capture, counted from the region's corner
    (PS3.3 C.8.5.5.1.16). Rows count downwards, velocities upwards."""
    region = _region_at(still.region_px, _SPATIAL_SPECTRAL, _DOPPLER[still.doppler])
    region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection = _SECOND, _CENTIMETRE_PER_SECOND
    region.PhysicalDeltaX, region.PhysicalDeltaY = still.s_per_px, -100.0 * still.m_s_per_px
    x0, y0, x1, _ = still.region_px
    region.ReferencePixelX0, region.ReferencePixelY0 = x1 - x0, still.baseline_px - y0
    region.ReferencePixelPhysicalValueX = region.ReferencePixelPhysicalValueY = 0.0
    return region


def _region_at(region_px: tuple[int, int, int, int], spatial_format: int, data_type: int) -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat = spatial_format
    region.RegionDataType = data_type
    region.RegionFlags = 0
    x0, y0, x1, y1 = region_px
    region.RegionLocationMinX0, region.RegionLocationMinY0 = x0, y0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = x1, y1
    return region


def _uid(*parts: str) -> UID:
    return derived_uid("\x1f".join(parts))


def _write_avi(clip: RenderedClip, path: Path) -> None:
    """The frames are compressed here rather than by the container's encoder: one JPEG quality for both formats."""
    rate = Fraction(clip.frame_rate_hz).limit_denominator(1001)
    _, height, width, _ = clip.frames_THWC.shape
    with av.open(str(path), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj422p"
        stream.time_base = 1 / rate
        for index, jpeg in enumerate(_jpeg_frames(clip.frames_THWC, clip.jpeg_quality)):
            packet = av.Packet(jpeg)
            packet.stream = stream
            packet.time_base = 1 / rate
            packet.pts = packet.dts = index
            packet.duration = 1
            packet.is_keyframe = True
            container.mux(packet)
