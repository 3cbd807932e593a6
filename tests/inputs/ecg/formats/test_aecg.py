"""HL7 aECG: the rhythm of all leads and never the averaged beat, its units and times read and never assumed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ecg_xml import aecg_lead, aecg_series, aecg_set, aecg_time, aecg_xml

from inputs.ecg.formats.aecg import looks_like_aecg, read_aecg
from inputs.errors import UnreadableFile
from inputs.limits import MAX_CHANNELS
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints

BEAT = np.full((12, 599), 9.0)


def read(text: str, hints: ReadHints = NO_HINTS):
    return read_aecg(text.encode(), hints)


def refusal(text: str, hints: ReadHints = NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(text, hints)
    assert "Family" not in str(caught.value)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


def whole(ecg, seconds: float = 10.0, **options) -> str:
    return aecg_xml(aecg_series(aecg_set(ecg.signal_mv(seconds=seconds), **options), seconds=int(seconds)))


def test_the_rhythm_is_read_and_not_the_beat_that_stands_beside_it(ecg):
    beat = aecg_series(aecg_set(BEAT), code="REPRESENTATIVE_BEAT")
    derived = f"<derivation><derivedSeries>{aecg_set(BEAT)}</derivedSeries></derivation>"
    text = aecg_xml(beat, aecg_series(aecg_set(ecg.signal_mv()), more=derived))
    recording = read(text)
    np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)
    assert (recording.rate_hz, recording.lead_names, recording.warnings) == (500.0, STANDARD_LEADS, ())


def test_leads_are_found_by_code_in_any_order_under_any_prefix(ecg):
    order = [0, 1, *range(6, 12), 2, 3, 4, 5]
    text = whole(ecg, leads=[STANDARD_LEADS[row] for row in order])
    assert read(text).lead_names == tuple(STANDARD_LEADS[row] for row in order)
    prefixed = re.sub(r"<(/?)(?=[A-Za-z])", r"<\1h:", text).replace("xmlns=", "xmlns:h=")
    assert looks_like_aecg(prefixed.encode())
    np.testing.assert_array_equal(read(prefixed).signal_mv, read(text).signal_mv)


def test_a_file_without_a_prologue_is_recognised(ecg):
    text = whole(ecg, 2.0)
    bare = text[text.index("<!--") :]
    assert looks_like_aecg(bare.encode())
    np.testing.assert_array_equal(read(bare).signal_mv, read(text).signal_mv)


@pytest.mark.parametrize(("unit", "scale"), [("uV", "2.5"), ("mV", "0.0025"), ("V", "2.5e-6"), ("nV", "2500")])
def test_scale_and_origin_become_millivolt_each_from_its_own_unit(unit, scale):
    leads = "".join(aecg_lead(lead, [0, 4, -4], origin=("500", "uV"), scale=(scale, unit)) for lead in STANDARD_LEADS)
    text = aecg_xml(aecg_series(f"<component><sequenceSet>{aecg_time()}{leads}</sequenceSet></component>", seconds=0))
    np.testing.assert_allclose(read(text).signal_mv[7], [0.5, 0.51, 0.49], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "unit", "rate_hz"), [("0.002", "s", 500.0), ("2", "ms", 500.0), ("0.0010000", "s", 1000.0),
                                  ("4000", "us", 250.0), ("0.00390625", "s", 256.0)],
)  # fmt: skip
def test_the_rate_is_one_by_the_time_step_absolute_or_relative(ecg, step, unit, rate_hz):
    for code in ("TIME_ABSOLUTE", "TIME_RELATIVE"):
        assert read(whole(ecg, 2.0, time=aecg_time(step=step, unit=unit, code=code))).rate_hz == rate_hz


def test_sets_of_the_same_times_are_one_recording(ecg):
    signal = ecg.signal_mv()
    sets = [aecg_set(signal[row : row + 1], [lead]) for row, lead in enumerate(STANDARD_LEADS)]
    np.testing.assert_allclose(read(aecg_xml(aecg_series(*sets))).signal_mv, signal, rtol=0, atol=0.00051)


def test_of_several_full_rhythms_the_first_is_read_with_a_warning(ecg):
    later = aecg_set(ecg.signal_mv(1), time=aecg_time(head="20021122092000.000"))
    for text in (
        aecg_xml(aecg_series(aecg_set(ecg.signal_mv())), aecg_series(later)),
        aecg_xml(aecg_series(aecg_set(ecg.signal_mv()), later)),
    ):
        recording = read(text)
        np.testing.assert_allclose(recording.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)
        assert codes(recording) == ["rhythms_ignored"]


def test_a_long_strip_of_one_lead_does_not_hide_the_twelve(ecg):
    strip = aecg_set(np.tile(ecg.signal_mv()[1:2], 3), ["II"], aecg_time(head="20021122093000"))
    recording = read(aecg_xml(aecg_series(strip, aecg_set(ecg.signal_mv()))))
    assert recording.signal_mv.shape == (12, 5000)
    assert codes(recording) == ["rhythms_ignored"]


def test_leads_of_different_times_or_rates_are_refused_by_name(ecg):
    signal = ecg.signal_mv(seconds=2.5)
    heads = ("20021122091000.000", "20021122091002.500")
    halves = (signal[:6], STANDARD_LEADS[:6]), (signal[6:], STANDARD_LEADS[6:])
    sets = [aecg_set(part, leads, aecg_time(head)) for head, (part, leads) in zip(heads, halves, strict=True)]
    assert refusal(aecg_xml(aecg_series(*sets))).code == "leads_not_simultaneous"
    slower = aecg_set(signal[6:], STANDARD_LEADS[6:], aecg_time(step="0.004"))
    assert refusal(aecg_xml(aecg_series(sets[0], slower))).code == "rates_differ"


def test_a_file_of_averaged_beats_or_of_no_waveform_is_no_rhythm():
    beat = aecg_series(aecg_set(BEAT), code="REPRESENTATIVE_BEAT")
    assert "only averaged beats" in refusal(aecg_xml(beat)).sentence
    assert "no waveform" in refusal(aecg_xml()).sentence
    assert refusal(aecg_xml(aecg_series())).code == "no_rhythm"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('value="0.002" unit="s"', 'value="0" unit="s"', "rate_out_of_range"),
        ('value="0.002" unit="s"', 'value="-0.002" unit="s"', "rate_out_of_range"),
        ('value="0.002" unit="s"', 'value="1e-320" unit="us"', "rate_out_of_range"),
        ('value="0.002" unit="s"', 'value="1e-310" unit="s"', "rate_out_of_range"),
        ('value="0.002" unit="s"', 'value="0.002"', "rate_missing"),
        ('value="0.002" unit="s"', 'value="0.002" unit="Hz"', "rate_missing"),
        ('code="TIME_ABSOLUTE"', 'code="OTHER"', "rate_missing"),
        ('<scale value="1" unit="uV"', "<scaled", "unit_missing"),
        ('<scale value="1" unit="uV"', '<scale value="1"', "unit_missing"),
        ('<scale value="1" unit="uV"', '<scale value="0" unit="uV"', "unit_missing"),
        ('<scale value="1" unit="uV"', '<scale value="1" unit="mm[Hg]"', "unit_not_voltage"),
        ('<origin value="0" unit="uV"', '<origin value="7"', "unit_not_voltage"),
        ("LEAD_V1", "LEAD_V2", "leads_ambiguous"),
        ("<digits>", "<digits>0x10 ", "unreadable_file"),
        ("<digits>", "<digits>1,5 ", "unreadable_file"),
        ("<digits>", "<digits>1-1 ", "unreadable_file"),
    ],
)
def test_what_is_missing_contradicted_or_unknown_is_refused(ecg, old, new, code):
    text = whole(ecg, 2.0)
    assert old in text
    assert refusal(text.replace(old, new)).code == code


def test_a_lead_of_another_length_and_a_contradicted_rate_are_refused(ecg):
    text = whole(ecg, 2.0)
    assert refusal(text.replace("<digits>", "<digits>1 ", 1)).code == "length_mismatch"
    assert refusal(text, ReadHints(rate_hz=250.0)).code == "rate_conflict"


def test_a_file_that_states_a_longer_rhythm_is_read_with_a_warning(ecg):
    text = aecg_xml(aecg_series(aecg_set(ecg.signal_mv(seconds=4.0)), seconds=10))
    recording = read(text)
    assert codes(recording) == ["shorter_than_stated"]
    assert "10 s and holds 4 s" in recording.warnings[0].message
    assert codes(read(text.replace("20021122091010", "20021332091010"))) == []


def test_no_more_leads_and_stretches_are_looked_at_than_an_ecg_has(ecg):
    one = aecg_lead("V1", [1, 2, 3])
    many = aecg_set(BEAT[:1], ["I"]).replace("</sequenceSet>", one * (MAX_CHANNELS + 1) + "</sequenceSet>")
    assert refusal(aecg_xml(aecg_series(many))).code == "too_many_channels"
    sets = (aecg_set(BEAT[:1, :5], ["I"], aecg_time(head=str(second))) for second in range(MAX_CHANNELS + 2))
    assert refusal(aecg_xml(aecg_series(*sets))).code == "too_many_channels"


def test_what_the_device_says_is_handed_over_and_nobody_s_name(ecg):
    def annotation(code: str, value: str) -> str:
        return f'<component><annotation><code code="{code}"/><value {value}/></annotation></component>'

    low_pass = """<controlVariable><controlVariable><code code="MDC_ECG_CTL_VBL_ATTR_FILTER_LOW_PASS"/><component>
    <controlVariable><value value="150" unit="Hz"/></controlVariable></component></controlVariable></controlVariable>"""
    annotations = [
        annotation("MDC_ECG_HEART_RATE", 'value="52" unit="bpm"'),
        annotation("MDC_ECG_TIME_PD_PR_GL", 'value="0.148" unit="s"'),
        annotation("MDC_ECG_TIME_PD_QT", 'value="420" unit="mm"'),
        annotation("MDC_ECG_INTERPRETATION_STATEMENT", 'displayName="Sinus rhythm"'),
    ]
    more = f"{low_pass}<subjectOf><annotationSet>{''.join(annotations)}</annotationSet></subjectOf>"
    said = read(aecg_xml(aecg_series(aecg_set(ecg.signal_mv()), more=more))).said
    assert (said.vendor, said.model, said.recorded_at) == ("Mortara", "ELI250", "2002-11-22T09:10:00")
    assert said.measures == (("heart_rate_bpm", 52.0), ("pr_ms", 148.0))
    assert (said.statements, said.filters, said.paced) == (("Sinus rhythm",), ("low pass 150 Hz",), None)
    assert "Family" not in repr(said)
