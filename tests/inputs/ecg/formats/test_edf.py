"""EDF, EDF+ and BDF: leads by label, ranges to millivolt, header arithmetic, a stretch of a long recording."""

from __future__ import annotations

import numpy as np
import pytest
from signal_files import edf_file, edf_of

from inputs.ecg.formats.edf import EDF
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints, UploadedFile


def read(data: bytes, hints: ReadHints = NO_HINTS):
    return EDF.read([UploadedFile("a.edf", data)], hints)


def refusal(data: bytes, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(data, hints)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def mixed(signals, *, seconds: int, reserved: str = "", record_s=1) -> bytes:
    """A file of signals of their own rates: (label, unit, counts of each record)."""
    labels, units, per_record = zip(*[(label, unit, len(record)) for label, unit, record in signals], strict=True)
    count = len(labels)
    fields = [labels, [""] * count, units, [-32.768] * count, [32.767] * count, [-32768] * count, [32767] * count]
    fields += [[""] * count, per_record, [""] * count]
    body = b"".join(np.asarray(record, "<i2").tobytes() for _, _, record in signals) * seconds
    return edf_file(fields, body, records=seconds, reserved=reserved, record_s=record_s)


@pytest.mark.parametrize("bdf", [False, True])
def test_edf_of_16_bits_and_bdf_of_24_are_read(ecg, bdf):
    data = edf_of(1000 * ecg.signal_mv(), bdf=True, unit="uV") if bdf else edf_of(ecg.signal_mv())
    recording = read(data)
    assert (recording.rate_hz, recording.lead_names, codes(recording)) == (500.0, STANDARD_LEADS, [])
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


@pytest.mark.parametrize(
    "spelling",
    [
        "ECG {}",
        "EKG {}",
        "ecg {}",
        "EKG-{}",
        "ECG_{}",
        "{}",
        "ECG Lead {}",
        "ECG{}",
        "ECG: {}",
        "{} ECG",
        "{}-REF",
        "ECG {}-Ref",
        "EKG {} - ref",
    ],
)
def test_labels_name_leads_in_many_spellings(ecg, spelling):
    assert (
        read(edf_of(ecg.signal_mv(), [spelling.format(lead) for lead in STANDARD_LEADS])).lead_names == STANDARD_LEADS
    )


@pytest.mark.parametrize("label", ["V1-AVG", "ECG I+", "I-II", "V1-REF"])
def test_another_electrode_behind_a_label_makes_another_lead_of_it(ecg, label):
    """`-REF` too, where it does not stand behind I and II: it may be that of an electrode called V1."""
    assert refusal(edf_of(ecg.signal_mv()[:1], [label])).code == "leads_missing"
    labels = [label.split()[-1], *STANDARD_LEADS[1:6]]
    assert read(edf_of(ecg.signal_mv()[:6], labels)).lead_names == STANDARD_LEADS[1:6]


@pytest.mark.parametrize("label", ["ECG", "EKG1", "EKG", "ECG 2", "ECG1-ECG2", "ECG -aVR"])
def test_an_ecg_that_does_not_say_its_lead_is_refused_for_that(ecg, label):
    error = refusal(edf_of(ecg.signal_mv()[:1], [label]))
    assert (error.code, "does not say of which lead" in error.sentence) == ("leads_missing", True)


def test_an_eeg_is_refused_as_having_no_ecg_leads(ecg):
    error = refusal(edf_of(ecg.signal_mv()[:3], ["Fp1", "C3", "EOG left"]))
    assert (error.code, "no ECG leads" in error.sentence) == ("leads_missing", True)


@pytest.mark.parametrize(
    "ranges",
    [
        {"physical": (32.767, -32.768)},
        {"physical": (-10, 10), "digital": (-20_000, 20_000)},
        {"physical": (0, 20), "digital": (-10_000, 10_000)},
        {"physical": (-5, 5), "digital": (5000, -5000)},
        {"physical": (-5000, 5000), "digital": (-5000, 5000), "unit": "uV"},
    ],
)
def test_ranges_become_millivolt_the_reversed_ones_too(ecg, ranges):
    factor = 1000 if ranges.get("unit") == "uV" else 1
    found = read(edf_of(factor * ecg.signal_mv(), **ranges)).signal_mv
    np.testing.assert_allclose(found, ecg.signal_mv(), rtol=0, atol=0.00051)


def test_the_lowest_count_below_the_stated_range_is_a_missing_sample(ecg):
    data = bytearray(edf_of(ecg.signal_mv(), physical=(-10, 10), digital=(-10_000, 10_000)))
    data[256 * 13 + 8 : 256 * 13 + 10] = b"\0\x80"
    assert np.argwhere(np.isnan(read(bytes(data)).signal_mv)).tolist() == [[0, 4]]


def test_annotations_and_signals_of_other_rates_are_left_out():
    file = mixed(
        [("SpO2", "%", [1] * 4), ("ECG II", "mV", [100, 200]), ("EDF Annotations", "", [0] * 30), ("I", "mV", [3, 4])],
        seconds=3, reserved="EDF+C",
    )  # fmt: skip
    recording = read(file)
    assert (recording.lead_names, recording.rate_hz, codes(recording)) == (("II", "I"), 2.0, ["channels_ignored"])
    assert "1 channels" in recording.warnings[0].message
    np.testing.assert_allclose(recording.signal_mv, [[0.1, 0.2] * 3, [0.003, 0.004] * 3], rtol=0, atol=1e-6)


def test_ecg_leads_of_different_rates_are_refused_by_name():
    assert refusal(mixed([("I", "mV", [1, 2]), ("II", "mV", [1, 2, 3])], seconds=3)).code == "rates_differ"


def test_one_lead_twice_is_refused(ecg):
    assert refusal(edf_of(ecg.signal_mv()[:2], ["ECG I", "EKG I"])).code == "leads_ambiguous"


def test_a_discontinuous_file_is_refused_by_name(ecg):
    error = refusal(edf_of(ecg.signal_mv(), reserved="EDF+D"))
    assert (error.code, "discontinuous" in error.sentence) == ("unsupported_format", True)


def test_a_file_that_was_not_closed_is_read_with_a_warning(ecg):
    data = edf_of(ecg.signal_mv(), records=-1)
    recording = read(data[:-100])
    assert (recording.signal_mv.shape, codes(recording)) == ((12, 4500), ["file_not_closed"])


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ({"records": 11}, "truncated"),
        ({"records": 99_999_999}, "truncated"),
        ({"records": -2}, "truncated"),
        ({"records": 9}, "length_mismatch"),
        ({"records": 0}, "length_mismatch"),
        ({"signals": 0}, "unreadable_file"),
        ({"signals": 11}, "unreadable_file"),
        ({"signals": 9999}, "unreadable_file"),
        ({"record_s": 0}, "rate_missing"),
        ({"record_s": "nan"}, "unreadable_file"),
        ({"record_s": "1e999"}, "unreadable_file"),
        ({"record_s": "1_0"}, "unreadable_file"),
        ({"digital": (7, 7.0), "physical": (-1, 1)}, "unit_missing"),
        ({"unit": ""}, "unit_missing"),
        ({"unit": "mmHg"}, "unit_not_voltage"),
    ],
)
def test_a_header_that_contradicts_the_file_or_itself_is_refused(ecg, head, code):
    head = dict(head)
    if "digital" in head:
        data = edf_of(ecg.signal_mv()).replace(b"-32768  ", b"7       ").replace(b"32767   ", b"7       ")
    else:
        data = edf_of(ecg.signal_mv(), **head)
    assert refusal(data).code == code


def test_a_signal_without_samples_is_refused(ecg):
    data = edf_of(ecg.signal_mv())
    assert refusal(data.replace(b"500     ", b"-1      ", 1)).code == "unreadable_file"


def test_a_stretch_of_a_day_is_read_and_the_whole_refused_with_a_way_out():
    seconds = 24 * 3600
    file = bytearray(mixed([("SpO2", "%", [1]), ("ECG I", "mV", [0] * 10)], seconds=seconds))
    first = 86_000
    rows = np.frombuffer(memoryview(file)[256 * 3 :], "<i2").reshape(seconds, 11)
    rows[first : first + 10, 1:] = np.arange(100).reshape(10, 10)
    data = bytes(file)
    error = refusal(data)
    assert (error.code, "start_s" in error.hint) == ("too_long", True)
    found = read(data, ReadHints(start_s=first + 0.5, length_s=9)).signal_mv
    np.testing.assert_allclose(found, [np.arange(5, 95) / 1000], rtol=0, atol=1e-6)
    assert refusal(data, ReadHints(start_s=86_399)).code == "stretch_out_of_range"


def test_a_table_of_numbers_that_begins_with_nought_is_no_edf():
    assert not EDF.recognises(b"0       " + b"1.0     " * 40)
    assert not EDF.recognises(b"0       1.0\n" * 40)


def test_what_the_file_said_is_time_and_filters_and_no_name(ecg):
    said = read(edf_of(ecg.signal_mv())).said
    assert (said.recorded_at, said.filters) == ("2020-01-31T10:20:30", ("HP:0.05Hz LP:150Hz",))
    assert "Family" not in repr(said)
    assert read(edf_of(ecg.signal_mv(), filters="Family, Name")).said.filters == ()
