"""Text that programs export: LabChart, AcqKnowledge, rdsamp and R, and names with blanks in them."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

KNOWN = ReadHints(rate_hz=500.0, unit="mV")
NAMED = ReadHints(rate_hz=500.0, unit="mV", leads=STANDARD_LEADS)
SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(12, 50)), 3)
TABBED = "\t".join(STANDARD_LEADS)


def rows(separator: str, times: list[str] | None = None) -> str:
    body = [separator.join(f"{value:.3f}" for value in row) for row in SIGNAL_LN.T]
    if times is not None:
        body = [f"{time}{separator}{row}" for time, row in zip(times, body, strict=True)]
    return "\n".join(body) + "\n"


SECONDS = [f"{sample / 500:.3f}" for sample in range(50)]


def read(text: str, hints: ReadHints = NO_HINTS) -> EcgRecording:
    return read_ecg([UploadedFile("x", text.encode())], hints)


def assert_right(recording: EcgRecording) -> None:
    assert (recording.source_format, recording.rate_hz) == ("csv", 500.0)
    assert recording.lead_names == STANDARD_LEADS
    np.testing.assert_allclose(recording.signal_mv, SIGNAL_LN, rtol=0, atol=1e-6)


def labchart(ranges: str = "10.000 mV", more: str = "") -> str:
    units = "\t".join([ranges] * 12)
    return f"Interval=\t0.002 s\nTimeFormat=\tStartOfBlock\nChannelTitle=\t{TABBED}\nRange=\t{units}\n{more}"


def test_labchart_states_names_units_and_interval_with_and_without_times():
    assert_right(read(labchart() + rows("\t", SECONDS)))
    assert_right(read(labchart() + rows("\t")))
    for times in (None, SECONDS):  # a last column of remarks is no channel, and no reason to take lead I for times
        assert_right(read(labchart() + rows("\t", times).replace("\n", "\t#* a remark\n", 1)))
        assert_right(read(labchart() + rows("\t", times).replace("\n", "\t\n")))
    np.testing.assert_allclose(read(labchart("500 µV") + rows("\t")).signal_mv, SIGNAL_LN / 1000, atol=1e-6)


def test_labchart_with_a_unit_of_its_own_goes_by_that():
    own = "UnitName=\t" + "\t".join(["mV"] * 12) + "\n"
    assert_right(read(labchart("10.000 V", own) + rows("\t", SECONDS)))
    with pytest.raises(UnreadableFile):
        read(labchart("10.000 mmHg") + rows("\t"))


@pytest.mark.parametrize("rate", ["2 msec/sample", "500 samples/second", "0.002 sec/sample"])
def test_acqknowledge_states_names_units_and_interval(rate):
    names = "".join(f"{lead} - ECG100C\nmV\n" for lead in STANDARD_LEADS)
    columns = "\t".join(f"CH{place + 1}" for place in range(12))
    counts = "\t".join(["50"] * 12)
    head = f"my.acq\n{rate}\n12 channels\n{names}"
    minutes = [f"{sample / 30000:.9f}" for sample in range(50)]
    counts = "\t".join(["500"] * 12)
    assert_right(read(f"{head}min\t{columns}\n\t{counts}\n{rows(chr(9), minutes)}"))
    assert_right(read(f"{head}{columns}\n{counts}\n{rows(chr(9))}"))


def test_rdsamp_states_names_and_units_in_two_lines():
    clock = [f"0:00.{2 * sample:03d}" for sample in range(50)]
    names = "  ".join(STANDARD_LEADS)
    units = "  ".join(["(mV)"] * 12)
    assert_right(read(f"   Elapsed time  {names}\n   hh:mm:ss.mmm  {units}\n{rows('  ', clock)}"))
    assert_right(read(f"  Elapsed time  {names}\n   (seconds)  {units}\n{rows('  ', SECONDS)}"))
    numbers = [f"    {sample}" for sample in range(50)]
    assert_right(read(f"       sample #  {names}\n{rows('   ', numbers)}", KNOWN))
    quoted = ",".join(f"'{lead}'" for lead in STANDARD_LEADS)
    assert_right(read(f"'Elapsed time',{quoted}\n'hh:mm:ss.mmm',{','.join(12 * ['mV'])}\n{rows(',', clock)}"))


@pytest.mark.parametrize("first", ["", '"",'])
def test_the_names_that_r_makes_up_are_no_chest_leads(first):
    header = first + ",".join(f'"V{place + 1}"' for place in range(12))
    text = f"{header}\n{rows(',', [str(place + 1) for place in range(50)] if first else None)}"
    with pytest.raises(UnreadableFile, match="as R does") as caught:
        read(text, KNOWN)
    assert (caught.value.code, "parameter leads" in caught.value.hint) == ("leads_missing", True)
    leads = ("x", *STANDARD_LEADS) if first else STANDARD_LEADS
    assert_right(read(text, ReadHints(rate_hz=500.0, unit="mV", leads=leads)))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("before", ["Lead ", "ECG ", "ECG Lead "])
def test_names_may_hold_blanks_beside_another_separator(separator, before):
    names = separator.join(before + lead for lead in STANDARD_LEADS)
    assert_right(read(f"{names}\n{rows(separator)}", KNOWN))
    in_ms = [str(2 * sample) for sample in range(50)]
    assert_right(read(f"Time [ms]{separator}{names}\n{rows(separator, in_ms)}", ReadHints(unit="mV")))
    assert_right(read(f"Time (s){separator}{names}\n{rows(separator, SECONDS)}", ReadHints(unit="mV")))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_channels_that_are_numbered_need_names(separator):
    text = separator.join(f"Channel {place + 1}" for place in range(12)) + "\n" + rows(separator)
    with pytest.raises(UnreadableFile, match="does not name the leads"):
        read(text, KNOWN)
    assert_right(read(text, NAMED))


def by_rows(names: list[str]) -> str:
    lines = (",".join(f"{value:.3f}" for value in row) for row in SIGNAL_LN)
    return "\n".join(f"{name},{line}" for name, line in zip(names, lines, strict=True))


def test_rows_of_leads_keep_their_units_where_names_are_given_and_other_names_are_told():
    text = by_rows([f"{lead} (uV)" for lead in STANDARD_LEADS])
    recording = read(text, ReadHints(rate_hz=500.0, leads=STANDARD_LEADS))
    np.testing.assert_allclose(recording.signal_mv, SIGNAL_LN / 1000, atol=1e-6)
    assert recording.warnings == ()
    turned = read(text, ReadHints(rate_hz=500.0, leads=STANDARD_LEADS[::-1]))
    assert [warning.code for warning in turned.warnings] == ["leads_replaced"]


def test_rows_that_r_has_numbered_are_no_chest_leads():
    text = by_rows([f"V{place + 1}" for place in range(12)])
    with pytest.raises(UnreadableFile, match="as R does"):
        read(text, KNOWN)
    assert_right(read(text, NAMED))
