"""ECG files, read back by libraries that know nothing of how they were written."""

import warnings
from dataclasses import replace
from datetime import datetime

import numpy as np
import pydicom
import pytest

from inputs.records import STANDARD_LEADS
from simulator.ecg.files import write_ecg
from simulator.ecg.recorder import choose_recorder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # wfdb's own table of annotation codes trips over newer pandas at import
    import wfdb

ACQUIRED_AT = datetime.fromisoformat("2015-03-04T05:06:07")
RECORDER = choose_recorder(0, np.random.default_rng(0))


def lead_signals(samples=1234):
    """Twelve different leads of a few millivolt, so that a swap cannot go unseen."""
    t = np.arange(samples) / 500
    return np.array([(0.2 + 0.1 * k) * np.sin(2 * np.pi * (1 + k) * t + k) for k in range(12)], dtype=np.float32)


def write(folder, **settings):
    recorder = replace(RECORDER, **settings)
    path = write_ecg(
        lead_signals(),
        folder / "E1-0",
        recorder=recorder,
        patient_id="P1",
        ecg_id="E1-0",
        acquired_at=ACQUIRED_AT,
    )
    return path, recorder


@pytest.mark.parametrize("rate_hz", [250, 500, 1000])
@pytest.mark.parametrize("order", ["aVR aVL aVF", "aVR aVF aVL"])
@pytest.mark.parametrize("resolution_uv", [1.0, 4.88])
def test_wfdb_reads_the_record_with_leads_by_name(tmp_path, rate_hz, order, resolution_uv):
    path, _ = write(tmp_path, file_kind="wfdb", rate_hz=rate_hz, augmented_order=order, resolution_uv=resolution_uv)
    assert path == tmp_path / "E1-0.hea"
    record = wfdb.rdrecord(str(path.with_suffix("")))
    assert record.fs == rate_hz
    assert record.units == ["mV"] * 12
    assert record.sig_name[3:6] == order.split()
    rows = [record.sig_name.index(lead) for lead in STANDARD_LEADS]
    np.testing.assert_allclose(record.p_signal.T[rows], lead_signals(), atol=0.51e-3 * resolution_uv)
    counts = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
    assert [c % 65536 for c in counts.checksum] == [c % 65536 for c in counts.calc_checksum()]
    assert counts.init_value == counts.d_signal[0].tolist()


@pytest.mark.parametrize("site", [0, 2])
@pytest.mark.parametrize("rate_hz", [250, 1000])
def test_pydicom_reads_a_twelve_lead_waveform_in_microvolt(tmp_path, site, rate_hz):
    path, recorder = write(tmp_path, file_kind="dicom", site=site, rate_hz=rate_hz, resolution_uv=2.5)
    assert path == tmp_path / "E1-0.dcm"
    dataset = pydicom.dcmread(path)
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.9.1.1"
    assert dataset.SOPInstanceUID.is_valid
    group = dataset.WaveformSequence[0]
    assert group.SamplingFrequency == rate_hz
    assert (group.NumberOfWaveformChannels, group.NumberOfWaveformSamples) == (12, 1234)
    np.testing.assert_allclose(dataset.waveform_array(0).T, 1000 * lead_signals(), atol=0.51 * 2.5)
    codes = [c.ChannelSourceSequence[0] for c in group.ChannelDefinitionSequence]
    assert {c.CodingSchemeDesignator for c in codes} == {"SCPECG" if site == 0 else "MDC"}
    first = {0: "5.6.3-9-", 2: "2:"}[site]
    assert [c.CodeValue for c in codes] == [f"{first}{n}" for n in (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)]
    assert group.ChannelDefinitionSequence[0].FilterLowFrequency == recorder.highpass_hz


def test_lead_codes_are_the_ones_a_real_electrocardiograph_writes():
    real = pydicom.dcmread(pydicom.data.get_testdata_file("waveform_ecg.dcm")).WaveformSequence[0]
    theirs = [c.ChannelSourceSequence[0].CodeValue for c in real.ChannelDefinitionSequence]
    assert theirs == [f"5.6.3-9-{n}" for n in (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)]


def test_files_carry_no_identity(tmp_path):
    path, _ = write(tmp_path, file_kind="dicom")
    dataset = pydicom.dcmread(path)
    assert dataset.PatientID == "P1"
    assert str(dataset.PatientName) == "Invented^Patient"
    assert dataset.PatientBirthDate == ""
    assert dataset.StudyDate == "20150304"
    header = write(tmp_path, file_kind="wfdb")[0].read_text()
    assert "P1" not in header
    assert "2015" not in header


@pytest.mark.parametrize("kind", ["wfdb", "dicom"])
def test_the_same_recording_gives_the_same_bytes(tmp_path, kind):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, file_kind=kind)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert files == {"wfdb": ["E1-0.dat", "E1-0.hea"], "dicom": ["E1-0.dcm"]}[kind]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_a_voltage_beyond_sixteen_bits_is_clipped_not_wrapped(tmp_path):
    signal = lead_signals()
    signal[0, 10], signal[0, 11] = 90.0, -90.0
    write_ecg(
        signal,
        tmp_path / "E",
        recorder=replace(RECORDER, file_kind="wfdb", resolution_uv=1.0),
        patient_id="P",
        ecg_id="E",
        acquired_at=ACQUIRED_AT,
    )
    read = wfdb.rdrecord(str(tmp_path / "E")).p_signal[:, 0]
    assert read[10] == pytest.approx(32.767)
    assert read[11] == pytest.approx(-32.767)
