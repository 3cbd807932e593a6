"""GE MUSE XML: the rhythm and not the median beat, by the file's own rate and units, whole or refused by name."""

from __future__ import annotations

import codecs

import numpy as np
import pytest
from muse_files import STORED, elements, muse_file, muse_lead, muse_median, muse_rhythm, muse_waveform

from inputs.ecg.formats.muse import MUSE, read_muse
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints

TOLERANCE_MV = 0.00051


@pytest.fixture(scope="module")
def signal_mv(ecg) -> np.ndarray:
    """(8, N): the leads that MUSE stores."""
    return ecg.signal_mv()[[0, 1, 6, 7, 8, 9, 10, 11]]


@pytest.fixture(scope="module")
def rhythm(signal_mv) -> str:
    return muse_rhythm(signal_mv, STORED)


def refusal(*parts: str, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_muse(muse_file(*parts), hints)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def assert_is(recording, signal_mv, names=STORED) -> None:
    np.testing.assert_allclose(recording.signal_mv, signal_mv, rtol=0, atol=TOLERANCE_MV)
    assert (recording.rate_hz, recording.lead_names, recording.source_format) == (500.0, tuple(names), "muse")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_rhythm_is_read_and_never_the_median_wherever_it_stands(signal_mv, rhythm, order):
    parts = [muse_median(signal_mv, STORED), rhythm]
    recording = read_muse(muse_file(*(parts[place] for place in order)), NO_HINTS)
    assert_is(recording, signal_mv)
    assert recording.warnings == ()


@pytest.mark.parametrize("kind", ["Median", "MEDIAN", "Average beat", "Representative"])
def test_a_median_beat_alone_is_refused(signal_mv, rhythm, kind):
    error = refusal(rhythm.replace("Rhythm", kind))
    assert error.code == "no_rhythm"
    assert "MUSE" in error.sentence


def test_a_beat_that_calls_itself_rhythm_is_told_by_its_sample_type(rhythm):
    assert refusal(rhythm.replace("CONTINUOUS_SAMPLES", "REPRESENTATIVE_BEAT")).code == "no_rhythm"


@pytest.mark.parametrize("kind", [None, "RHYTHM", "rhythm", "Full"])
def test_a_lone_waveform_is_the_rhythm_unless_it_says_otherwise(signal_mv, kind):
    leads = [muse_lead(name, row) for name, row in zip(STORED, signal_mv, strict=True)]
    assert_is(read_muse(muse_file(muse_waveform(kind, leads)), NO_HINTS), signal_mv)
    beat = muse_median(signal_mv, STORED)
    assert_is(read_muse(muse_file(beat, muse_waveform(kind, leads)), NO_HINTS), signal_mv)


def test_of_two_waveforms_without_a_type_none_is_guessed(signal_mv):
    leads = [muse_lead(name, row) for name, row in zip(STORED, signal_mv, strict=True)]
    assert refusal(2 * muse_waveform(None, leads)).code == "no_rhythm"


@pytest.mark.parametrize("parts", ["", "<Waveform/>", "<Waveform><WaveformType>Rhythm</WaveformType></Waveform>"])
def test_a_file_without_waveform_is_refused_as_a_muse_file(parts):
    error = refusal(parts)
    assert error.code == "signal_empty"
    assert "GE MUSE" in error.sentence
    assert "waveforms" in error.hint


@pytest.mark.parametrize("prologue", ["", '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n', "\r\n<!-- saved -->\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_is_the_same_without_prologue_and_in_any_encoding(signal_mv, rhythm, prologue, encoding):
    data = muse_file(rhythm, prologue=prologue).decode().encode(encoding)
    assert MUSE.recognises(data)
    assert_is(read_muse(data, NO_HINTS), signal_mv)


def test_only_the_root_resting_ecg_is_recognised():
    for text in ("<restingecgdata/>", "<CardiologyXML/>", "<HolterECG/>", "RestingECG", "<a><RestingECG/></a>"):
        assert not MUSE.recognises(text.encode())
    assert not MUSE.recognises(codecs.BOM_UTF8)


@pytest.mark.parametrize(("base", "exponent", "rate_hz"), [(500, 0, 500.0), (5, 2, 500.0), (2500, -1, 250.0)])
def test_the_rate_is_its_base_times_a_power_of_ten(signal_mv, base, exponent, rate_hz):
    leads = [muse_lead(name, row) for name, row in zip(STORED, signal_mv, strict=True)]
    waveform = muse_waveform("Rhythm", leads, SampleBase=base, SampleExponent=exponent)
    assert read_muse(muse_file(waveform), NO_HINTS).rate_hz == rate_hz


@pytest.mark.parametrize(
    ("base", "exponent", "code"),
    [
        (None, 0, "rate_missing"),
        (0, 0, "rate_out_of_range"),
        (-500, 0, "rate_out_of_range"),
        (500, 0.5, "rate_out_of_range"),
        (500, 400, "rate_out_of_range"),
        ("5_00", 0, "unreadable_file"),
        ("nan", 0, "rate_out_of_range"),
        (500, "nan", "rate_out_of_range"),
    ],
)
def test_a_rate_that_is_none_is_refused(signal_mv, base, exponent, code):
    lead = muse_lead("I", signal_mv[0])
    assert refusal(muse_waveform("Rhythm", [lead], SampleBase=base, SampleExponent=exponent)).code == code


@pytest.mark.parametrize(
    ("per_bit", "unit", "millivolt"),
    [
        ("4.88", "MICROVOLTS", 0.00488),
        ("2", "microvolts", 0.002),
        ("0.001", "MILLIVOLTS", 0.001),
        ("500", "nV", 0.0005),
    ],
)
def test_a_count_is_what_the_lead_says_it_is(signal_mv, per_bit, unit, millivolt):
    part = muse_rhythm(signal_mv, STORED, LeadAmplitudeUnitsPerBit=per_bit, LeadAmplitudeUnits=unit)
    found = read_muse(muse_file(part), NO_HINTS).signal_mv
    np.testing.assert_allclose(found, np.round(1000 * signal_mv) * millivolt, rtol=1e-6)


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"LeadAmplitudeUnitsPerBit": None}, "unit_missing"),
        ({"LeadAmplitudeUnits": None}, "unit_missing"),
        ({"LeadAmplitudeUnitsPerBit": 0}, "unit_missing"),
        ({"LeadAmplitudeUnitsPerBit": -4.88}, "unit_missing"),
        ({"LeadAmplitudeUnitsPerBit": "nan"}, "unit_missing"),
        ({"LeadAmplitudeUnitsPerBit": "4,88"}, "unreadable_file"),
        ({"LeadAmplitudeUnits": "MMHG"}, "unit_not_voltage"),
    ],
)
def test_a_lead_without_a_voltage_is_refused(signal_mv, stated, code):
    assert refusal(muse_rhythm(signal_mv, STORED, **stated)).code == code


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"LeadSampleCountTotal": 4999}, "truncated"),
        ({"LeadByteCountTotal": 10_002}, "truncated"),
        ({"LeadSampleCountTotal": 2_000_000_000}, "too_long"),
        ({"LeadSampleCountTotal": -1}, "unreadable_file"),
        ({"LeadSampleSize": 4}, "unsupported_format"),
        ({"LeadSampleSize": None, "LeadByteCountTotal": 20_000}, "unsupported_format"),
        ({"WaveFormData": "AAAA"}, "truncated"),
        ({"WaveFormData": "AAAAA"}, "unreadable_file"),
        ({"WaveFormData": "12 -7 33"}, "unreadable_file"),
        ({"WaveFormData": "AAA=", "LeadSampleCountTotal": None, "LeadByteCountTotal": None}, None),
        ({"WaveFormData": "AAAA", "LeadSampleCountTotal": None, "LeadByteCountTotal": None}, "truncated"),
        ({"WaveFormData": None, "LeadSampleCountTotal": 0, "LeadByteCountTotal": 0}, "signal_empty"),
    ],
)
def test_a_lead_is_as_long_as_it_says_or_refused(signal_mv, stated, code):
    part = muse_rhythm(signal_mv, STORED, LeadDataCRC32=None, **stated)
    if code is None:
        assert read_muse(muse_file(part), NO_HINTS).signal_mv.shape == (8, 1)
    else:
        assert refusal(part).code == code


def test_leads_of_different_lengths_are_refused_for_a_stretch_too(signal_mv):
    leads = [muse_lead("I", signal_mv[0]), muse_lead("II", signal_mv[1][:4000])]
    for hints in (NO_HINTS, ReadHints(start_s=1.0, length_s=2.0)):
        assert refusal(muse_waveform("Rhythm", leads), hints=hints).code == "length_mismatch"


def test_a_stretch_of_a_recording_is_those_seconds(signal_mv, rhythm):
    recording = read_muse(muse_file(rhythm), ReadHints(start_s=2.0, length_s=5.0))
    assert_is(recording, signal_mv[:, 1000:3500])


def test_a_lead_that_alone_does_not_match_its_checksum_is_damaged(signal_mv):
    leads = [
        muse_lead(name, row, **({"LeadDataCRC32": 7} if name == "V3" else {}))
        for name, row in zip(STORED, signal_mv, strict=True)
    ]
    error = refusal(muse_waveform("Rhythm", leads))
    assert (error.code, error.leads) == ("checksum_mismatch", ("V3",))


@pytest.mark.parametrize(("crc", "expected"), [(7, ["checksum_mismatch"]), (0, []), (None, [])])
def test_checksums_that_no_lead_matches_are_a_warning_and_absent_ones_nothing(signal_mv, crc, expected):
    recording = read_muse(muse_file(muse_rhythm(signal_mv, STORED, LeadDataCRC32=crc)), NO_HINTS)
    assert_is(recording, signal_mv)
    assert codes(recording) == expected


@pytest.mark.parametrize("mark", [{"LeadOff": "TRUE"}, {"ElectrodeOff": "true"}])
def test_a_lead_that_was_off_has_no_samples(signal_mv, mark):
    leads = [
        muse_lead(name, row, **(mark if name == "V2" else {})) for name, row in zip(STORED, signal_mv, strict=True)
    ]
    recording = read_muse(muse_file(muse_waveform("Rhythm", leads)), NO_HINTS)
    assert np.isnan(recording.signal_mv).all(axis=1).tolist() == [name == "V2" for name in STORED]
    assert [(warning.code, warning.leads) for warning in recording.warnings] == [("leads_off", ("V2",))]


def test_the_most_negative_count_is_a_missing_sample(signal_mv):
    gaps_mv = signal_mv.copy()
    gaps_mv[3, 100:200] = np.nan
    found = read_muse(muse_file(muse_rhythm(gaps_mv, STORED)), NO_HINTS).signal_mv
    np.testing.assert_array_equal(np.isnan(found), np.isnan(gaps_mv))


@pytest.mark.parametrize("tag", ["LeadTimeOffset", "LeadOffsetFirstSample"])
def test_leads_that_begin_at_different_times_are_refused(signal_mv, tag):
    leads = [
        muse_lead(name, row, **{tag: 1250 * place})
        for place, (name, row) in enumerate(zip(STORED, signal_mv, strict=True))
    ]
    assert refusal(muse_waveform("Rhythm", leads)).code == "leads_not_simultaneous"


def test_a_baseline_is_not_applied_and_said_so(signal_mv):
    recording = read_muse(muse_file(muse_rhythm(signal_mv, STORED, FirstSampleBaseline=100)), NO_HINTS)
    assert_is(recording, signal_mv)
    assert codes(recording) == ["baseline_ignored"]


def test_leads_of_one_time_in_waveforms_of_their_own_are_one_recording(ecg):
    signal_mv = ecg.signal_mv()
    limb, chest = muse_rhythm(signal_mv[:6], STANDARD_LEADS[:6]), muse_rhythm(signal_mv[6:], STANDARD_LEADS[6:])
    recording = read_muse(muse_file(limb, chest), NO_HINTS)
    assert_is(recording, signal_mv, STANDARD_LEADS)
    assert recording.warnings == ()
    error = refusal(limb, chest.replace("<SampleBase>500", "<SampleBase>250"))
    assert error.code == "rates_differ"
    later = read_muse(muse_file(limb, chest.replace("<WaveformStartTime>0", "<WaveformStartTime>10")), NO_HINTS)
    assert (later.lead_names, codes(later)) == (STANDARD_LEADS[:6], ["waveforms_ignored"])


def test_of_several_rhythms_the_first_with_most_leads_is_read_and_the_others_counted(signal_mv, rhythm):
    strip = muse_rhythm(signal_mv[:1], STORED[:1])
    other = muse_rhythm(-signal_mv, STORED)
    recording = read_muse(muse_file(strip, rhythm, other), NO_HINTS)
    assert_is(recording, signal_mv)
    assert codes(recording) == ["waveforms_ignored"]
    assert "2 further" in recording.warnings[0].message


def test_right_sided_leads_are_kept_and_unknown_ones_left_out_and_counted(signal_mv):
    names = (*STORED[:6], "V4R", "ZZ")
    recording = read_muse(muse_file(muse_rhythm(signal_mv, names)), NO_HINTS)
    assert recording.lead_names == names[:7]
    assert codes(recording) == ["channels_ignored"]


def test_what_the_electrocardiograph_said_is_handed_over_without_the_people(signal_mv, rhythm):
    lines = ("Sinus rhythm", "Possible LVH by voltage", "When compared with ECG of 2 May", "Confirmed by Doe, J")
    statements = "".join(
        f"<DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>{line}</StmtText></DiagnosisStatement>"
        for line in (*lines, "Reported to Family on call", "Referred by: X")
    )
    split = "<DiagnosisStatement><StmtText>Normal</StmtText></DiagnosisStatement>"
    test = {"AcquisitionDevice": "MAC5500", "AcquisitionDate": "01-31-2026", "AcquisitionTime": "09:15:11"}
    recording = read_muse(
        muse_file(
            f"<TestDemographics>{elements(test)}</TestDemographics>",
            "<RestingECGMeasurements><VentricularRate>61</VentricularRate><PRInterval/><QRSDuration>96</QRSDuration>"
            "<RAxis>-20</RAxis></RestingECGMeasurements>",
            f"<Diagnosis>{split}{statements}</Diagnosis>",
            rhythm.replace("</Waveform>", "<PaceSpikes><IndexOffsets>10</IndexOffsets></PaceSpikes></Waveform>"),
        ),
        NO_HINTS,
    )
    said = recording.said
    assert (said.vendor, said.model, said.recorded_at, said.paced) == ("GE", "MAC5500", "2026-01-31T09:15:11", True)
    assert dict(said.measures) == {"heart_rate_bpm": 61.0, "qrs_ms": 96.0, "qrs_axis_deg": -20.0}
    assert said.filters == ("high pass 0.16 Hz", "low pass 150 Hz")
    assert said.statements == ("Normal Sinus rhythm", *lines[1:3])


def test_the_statements_of_the_device_come_before_those_that_were_edited(rhythm):
    one, other = (f"<DiagnosisStatement><StmtText>{text}</StmtText></DiagnosisStatement>" for text in ("Mine", "Hers"))
    data = muse_file(f"<Diagnosis>{other}</Diagnosis><OriginalDiagnosis>{one}</OriginalDiagnosis>", rhythm)
    assert read_muse(data, NO_HINTS).said.statements == ("Mine",)


def test_a_date_in_another_order_is_not_guessed(rhythm):
    for date in ("31-01-2026", "1/31/2026", "XXXX"):
        part = f"<TestDemographics><AcquisitionDate>{date}</AcquisitionDate></TestDemographics>"
        assert read_muse(muse_file(part, rhythm), NO_HINTS).said.recorded_at is None


def test_too_many_leads_are_refused_before_they_are_decoded(signal_mv):
    assert refusal(muse_waveform("Rhythm", 65 * [muse_lead("I", signal_mv[0][:10])])).code == "too_many_channels"


def test_one_lead_twice_is_refused(signal_mv):
    assert refusal(muse_rhythm(signal_mv[:2], ("I", "I"))).code == "leads_ambiguous"


def test_a_great_many_statements_and_names_are_no_burden(rhythm):
    many = "<DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>by by</StmtText></DiagnosisStatement>" * 20_000
    names = "<TestDemographics>" + "<TechLastName>x</TechLastName>" * 20_000 + "</TestDemographics>"
    assert read_muse(muse_file(f"<Diagnosis>{many}</Diagnosis>", names, rhythm), NO_HINTS).said.statements == ()
