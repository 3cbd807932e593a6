"""Clips written as DICOM and AVI come back as they were, with rate and scale, without identity, byte for byte.

Spectral stills keep their scale, and readers of clips pass them over.
"""

from dataclasses import replace
from datetime import UTC, datetime

import av
import numpy as np
import pydicom
import pytest

from inputs.echo.kinds import NO_CLIPS
from inputs.echo.read import read_echo
from inputs.errors import UnreadableFile
from simulator.echo.files import write_clip, write_still
from simulator.echo.spectral import STILLS, render_still
from simulator.echo.truth import ClipTruth
from simulator.echo.views import RenderedClip

from .test_image import MACHINE
from .test_other_views import HEALTHY

KINDS = ("dicom_jpeg", "dicom_raw", "avi")


def moving_square_clip(*, frames=5, height=121, width=160, rate_hz=33.0, colour=True):
    frames_THWC = np.full((frames, height, width, 3), 30, np.uint8)
    for t in range(frames):
        frames_THWC[t, 20:60, 10 + 8 * t : 50 + 8 * t] = (200, 60, 40)
    return RenderedClip(
        frames_THWC=frames_THWC,
        frame_rate_hz=rate_hz,
        view="A4C_COLOUR",
        colour=colour,
        cm_per_px=0.07,
        region_px=(5, 8, 150, 110),
        jpeg_quality=90,
        truth=ClipTruth("A4C_COLOUR"),
    )


def write(clip, folder, kind, **changes):
    named = {
        "patient_id": "P000123",
        "study_id": "S7",
        "view_id": "v2",
        "acquired_at": datetime(2021, 3, 4, 15, 6, 7),  # noqa: DTZ001 - public data sets are date-shifted and naive
        "uid_seed": 42,
    }
    return write_clip(clip, folder / "clip.one", kind, **(named | changes))


def read_back(path):
    if path.suffix == ".avi":
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            return np.stack(frames), float(stream.average_rate)
    dataset = pydicom.dcmread(path)
    return pydicom.pixels.pixel_array(path), 1000.0 / float(dataset.FrameTime)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate_hz", [25.0, 33.0, 59.94])
def test_frames_and_rate_are_read_back(tmp_path, kind, rate_hz):
    clip = moving_square_clip(rate_hz=rate_hz)
    path = write(clip, tmp_path, kind)
    assert path.name == ("clip.one.avi" if kind == "avi" else "clip.one.dcm")
    frames_THWC, read_rate_hz = read_back(path)
    assert frames_THWC.shape == clip.frames_THWC.shape
    assert read_rate_hz == pytest.approx(rate_hz, rel=1e-4)
    difference = np.abs(frames_THWC.astype(int) - clip.frames_THWC)
    if kind == "dicom_raw":
        assert difference.max() == 0
    else:
        assert difference.mean() < 1.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_clip_gives_the_same_bytes(tmp_path, kind):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (write(moving_square_clip(), tmp_path / name, kind).read_bytes() for name in "ab")
    assert first == second


def test_an_odd_number_of_bytes_is_padded_to_even(tmp_path):
    clip = moving_square_clip(frames=3, height=41, width=61)
    clip = replace(clip, frames_THWC=clip.frames_THWC, region_px=(0, 0, 60, 40))
    path = write(clip, tmp_path, "dicom_raw")
    assert len(pydicom.dcmread(path).PixelData) % 2 == 0
    assert np.array_equal(read_back(path)[0], clip.frames_THWC)


@pytest.mark.parametrize("kind", ["dicom_jpeg", "dicom_raw"])
def test_dicom_says_scale_region_time_and_pseudonym_only(tmp_path, kind):
    dataset = pydicom.dcmread(write(moving_square_clip(), tmp_path, kind))
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.3.1"
    expected = ("1.2.840.10008.1.2.4.50", "YBR_FULL_422") if kind == "dicom_jpeg" else ("1.2.840.10008.1.2.1", "RGB")
    assert (dataset.file_meta.TransferSyntaxUID, dataset.PhotometricInterpretation) == expected
    assert dataset.FrameIncrementPointer == 0x00181063
    tissue, flow = dataset.SequenceOfUltrasoundRegions
    assert (tissue.RegionSpatialFormat, tissue.RegionDataType, flow.RegionDataType) == (1, 1, 2)
    assert (tissue.PhysicalUnitsXDirection, tissue.PhysicalUnitsYDirection) == (3, 3)
    assert tissue.PhysicalDeltaX == pytest.approx(0.07)
    corners = [tissue.get(f"RegionLocation{at}") for at in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    assert corners == [5, 8, 150, 110]
    assert (dataset.StudyDate, dataset.StudyTime, dataset.PatientID) == ("20210304", "150607", "P000123")
    for name in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName"):
        assert not dataset.get(name)


def test_clips_of_a_study_share_its_uid_and_no_instance_shares_another(tmp_path):
    def uids(**changes):
        dataset = pydicom.dcmread(write(moving_square_clip(frames=1), tmp_path, "dicom_jpeg", **changes))
        assert all(
            uid.startswith("2.25.") and uid.is_valid for uid in (dataset.StudyInstanceUID, dataset.SOPInstanceUID)
        )
        return dataset.StudyInstanceUID, dataset.SOPInstanceUID

    first, sibling, other_seed = uids(), uids(view_id="v3"), uids(uid_seed=43)
    assert first == uids()
    assert first[0] == sibling[0] != other_seed[0]
    assert len({first[1], sibling[1], other_seed[1]}) == 3


def test_a_zoned_time_keeps_its_zone(tmp_path):
    path = write(moving_square_clip(frames=1), tmp_path, "dicom_jpeg", acquired_at=datetime(2021, 3, 4, tzinfo=UTC))
    assert pydicom.dcmread(path).AcquisitionDateTime == "20210304000000+0000"


def test_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="dicom_jpeg"):
        write(moving_square_clip(frames=1), tmp_path, "mp4")


def still_of(folder, view, **changes):
    """A still of a changed patient and the header it is written with."""
    still = render_still(replace(HEALTHY, **changes), view, MACHINE, np.random.default_rng(2))
    identity = {"patient_id": "P1", "study_id": "S7", "view_id": "v9", "uid_seed": 42}
    path = write_still(still, folder / view, acquired_at=datetime(2021, 3, 4), **identity)  # noqa: DTZ001
    return path, pydicom.dcmread(path)


def largest_velocity_m_s(dataset):
    """As a reader measures it: the last row away from the baseline that is bright in some of the beats' columns."""
    (region,) = dataset.SequenceOfUltrasoundRegions
    x0, y0, x1, y1 = (region.get(f"RegionLocation{at}") for at in ("MinX0", "MinY0", "MaxX1", "MaxY1"))
    picture = pydicom.pixels.pixel_array(dataset)[y0 : y1 + 1, x0 : x1 + 1].mean(axis=2)
    quiet = picture.mean(axis=1).min()
    bright = (picture > quiet + 60.0).sum(axis=1)
    velocity_m_s = (np.arange(len(picture)) - region.ReferencePixelY0) * region.PhysicalDeltaY / 100.0
    velocity_m_s += region.ReferencePixelPhysicalValueY / 100.0
    rows = np.flatnonzero(bright >= 0.03 * picture.shape[1])
    return float(np.abs(velocity_m_s[rows]).max())


@pytest.mark.parametrize("velocity_m_s", [2.2, 2.9, 3.6, 4.6])
def test_the_tricuspid_velocity_can_be_read_from_the_picture_where_there_is_a_jet(tmp_path, velocity_m_s):
    _, dataset = still_of(tmp_path, "CW_TRICUSPID", tricuspid_regurgitation=2, tr_velocity_m_s=velocity_m_s)
    assert largest_velocity_m_s(dataset) == pytest.approx(velocity_m_s, rel=0.10)
    _, silent = still_of(tmp_path, "CW_TRICUSPID", tricuspid_regurgitation=0, tr_velocity_m_s=velocity_m_s)
    assert largest_velocity_m_s(silent) < 0.6


def test_the_aortic_velocity_rises_with_the_grade_of_stenosis(tmp_path):
    peaks = [largest_velocity_m_s(still_of(tmp_path, "CW_AORTIC", aortic_stenosis=grade)[1]) for grade in range(4)]
    assert peaks == sorted(peaks)
    assert peaks[0] < 1.9
    assert peaks[3] > 3.9


def waves_a_beat(dataset, beats):
    """How many separate waves of inflow there are to a beat."""
    (region,) = dataset.SequenceOfUltrasoundRegions
    x0, y0, x1 = region.RegionLocationMinX0, region.RegionLocationMinY0, region.RegionLocationMaxX1
    row = y0 + region.ReferencePixelY0 + round(30.0 / region.PhysicalDeltaY)
    band = pydicom.pixels.pixel_array(dataset)[row - 2 : row + 3, x0 : x1 + 1].mean(axis=(0, 2))
    lit = np.convolve(band > 60.0, np.ones(5), "same") >= 2
    return np.count_nonzero(np.diff(lit.astype(int)) == 1) / beats


def test_mitral_inflow_has_an_a_wave_in_sinus_rhythm_only(tmp_path):
    beats = 3.2 * HEALTHY.heart_rate_bpm / 60.0
    sinus, fibrillating = (
        waves_a_beat(still_of(tmp_path, "PW_MITRAL", rhythm=rhythm)[1], beats)
        for rhythm in ("sinus", "atrial_fibrillation")
    )
    assert sinus > 1.5 * fibrillating


@pytest.mark.parametrize("view", STILLS)
def test_a_still_says_that_it_is_a_spectrum_and_shares_its_study(tmp_path, view):
    path, dataset = still_of(tmp_path, view)
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.6.1"
    assert "NumberOfFrames" not in dataset
    (region,) = dataset.SequenceOfUltrasoundRegions
    assert (region.RegionSpatialFormat, region.RegionDataType) == (3, 3 if view.startswith("PW") else 4)
    assert (region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection) == (4, 7)
    assert region.PhysicalDeltaY < 0 < region.PhysicalDeltaX
    clip = write(moving_square_clip(frames=2), tmp_path, "dicom_jpeg", patient_id="P1")
    assert pydicom.dcmread(clip).StudyInstanceUID == dataset.StudyInstanceUID
    assert still_of(tmp_path, view)[0].read_bytes() == path.read_bytes()


@pytest.mark.parametrize("view", STILLS)
def test_readers_pass_a_still_over_by_its_name_and_do_not_count_it_as_a_failure(tmp_path, view):
    path, _ = still_of(tmp_path, view)
    with pytest.raises(UnreadableFile) as refusal:
        read_echo(path)
    assert refusal.value.code == "spectral_doppler"
    assert refusal.value.code in NO_CLIPS


def test_an_unknown_still_is_refused():
    with pytest.raises(ValueError, match="CW_TRICUSPID"):
        render_still(HEALTHY, "PW_AORTIC", MACHINE, np.random.default_rng(0))
