"""Text tables as people have them: read right whatever separates cells and wherever leads, rate and unit stand."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

KNOWN = ReadHints(rate_hz=500.0, unit="mV")
LEADS = ",".join(STANDARD_LEADS)
SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(12, 50)), 3)
ROWS = [",".join(f"{value:.3f}" for value in row) for row in SIGNAL_LN.T]
BODY = "\n".join(ROWS)


def read(text: str | bytes, hints: ReadHints = KNOWN) -> EcgRecording:
    return read_ecg([UploadedFile("x", text if isinstance(text, bytes) else text.encode())], hints)


def refusal(text: str | bytes, hints: ReadHints = KNOWN) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(text, hints)
    return caught.value


def assert_right(recording: EcgRecording) -> None:
    assert (recording.source_format, recording.rate_hz) == ("csv", 500.0)
    assert recording.lead_names == STANDARD_LEADS
    np.testing.assert_allclose(recording.signal_mv, SIGNAL_LN, rtol=0, atol=1e-6)


def beside(cells: list[str], name: str) -> str:
    """The table with a first column of these cells."""
    rows = [f"{cell},{row}" for cell, row in zip(cells, ROWS, strict=True)]
    return "\n".join([f"{name},{LEADS}", *rows])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " | ", " ", "   "])
def test_cells_may_be_separated_by_anything_usual(separator):
    assert_right(read(f"{LEADS}\n{BODY}".replace(",", separator)))


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
def test_decimal_commas_go_with_every_other_separator_and_with_no_header(separator):
    commas = BODY.replace(",", separator).replace(".", ",")
    assert_right(read(LEADS.replace(",", separator) + "\n" + commas))
    assert_right(read(commas, ReadHints(500.0, "mV", STANDARD_LEADS)))


def test_quoted_cells_may_hold_decimal_commas():
    quoted = "\n".join(",".join(f'"{value:.3f}"'.replace(".", ",") for value in row) for row in SIGNAL_LN.T)
    assert_right(read(f"{LEADS}\n{quoted}"))
    assert refusal('I,II\n"1,234","5,678"\n').code == "numbers_ambiguous"
    assert refusal('I,II\n"1,234.5","0.5"\n').sentence == "Column 1 of the table holds text."


def test_a_separator_may_end_each_row():
    ended = BODY.replace("\n", ",\n") + ","
    assert_right(read(f"{LEADS},\n{ended}"))
    assert_right(read(f"{LEADS}\n{ended}"))


@pytest.mark.parametrize("head", ["", ",{numbers}\n", "lead,{numbers}\n"])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_a_row_may_hold_a_lead(head, separator):
    leads = [f"{lead},{','.join(f'{v:.3f}' for v in row)}" for lead, row in zip(STANDARD_LEADS, SIGNAL_LN, strict=True)]
    text = head.format(numbers=",".join(map(str, range(50)))) + "\n".join(leads)
    assert_right(read(text.replace(",", separator)))


def test_rows_of_leads_may_be_longer_than_any_row_of_samples():
    long_LN = np.tile(SIGNAL_LN, 400)
    text = "\n".join(
        f"{lead} (mV),{','.join(f'{v:.3f}' for v in row)}" for lead, row in zip(STANDARD_LEADS, long_LN, strict=True)
    )
    assert max(map(len, text.split("\n"))) > 100_000
    np.testing.assert_allclose(read(text, ReadHints(500.0)).signal_mv, long_LN, rtol=0, atol=1e-6)


def test_rows_of_numbers_are_leads_only_where_that_many_are_named():
    text = "\n".join(",".join(f"{value:.3f}" for value in row) for row in SIGNAL_LN)
    assert_right(read(text, ReadHints(500.0, "mV", STANDARD_LEADS)))
    assert refusal(text).code == "leads_missing"
    wide = "\n".join(",".join(f"{value:.3f}" for value in row) for row in np.tile(SIGNAL_LN, 10))
    assert refusal(wide).sentence == "The rows of the table have no lead names."


def test_rows_that_differ_or_name_a_lead_again_and_again_are_refused():
    assert refusal("I,1,2,3\nII,1,2\n").code == "length_mismatch"
    assert refusal("I,1,2,3\nI,1,2,3\n").code == "leads_ambiguous"
    melted = "\n".join(f"{lead},{n},0.5" for lead in STANDARD_LEADS for n in range(50))
    assert "one column for each lead" in refusal(melted).hint


@pytest.mark.parametrize(
    "spelt",
    ["{}_mV", "{} (mV)", "{} [mV]", "{}/mV", "{} mV", "{}:mV", "{}mV", "Lead {} (millivolt)", "ecg_{}_mv", "{}(MV)"],
)
def test_a_unit_behind_a_lead_is_known_in_any_spelling(spelt):
    header = ",".join(spelt.format(lead) for lead in STANDARD_LEADS)
    assert_right(read(f"{header}\n{BODY}", ReadHints(500.0)))


def test_a_remark_or_a_roman_number_is_no_unit():
    found = read("Lead I (limb),II,V1 (C1)\n1,2,3\n")
    assert found.lead_names == ("I", "II", "V1")
    assert read("I,II,IV\n1,2,3\n").lead_names == ("I", "II")


def test_a_unit_that_contradicts_the_one_given_is_refused():
    header = ",".join(f"{lead}_uV" for lead in STANDARD_LEADS)
    assert refusal(f"{header}\n{BODY}").code == "unit_conflict"


@pytest.mark.parametrize("row", ["{0}", "[{0}]", "({0})", "'{0}'"])
def test_a_row_of_units_may_stand_below_the_header(row):
    units = ",".join([row.format("mV")] * 12)
    assert_right(read(f"{LEADS}\n{units}\n{BODY}", ReadHints(500.0)))
    timed = beside([f"{2 * n}" for n in range(50)], "time").split("\n")
    assert_right(read("\n".join([timed[0], f"ms,{units}", *timed[1:]]), ReadHints()))


@pytest.mark.parametrize(
    "line",
    ["# fs=500", "# Sampling frequency: 500 Hz", "% sampling rate 500", "#fs = 500,0", "# unit=mV, fs=500",
     "Sample Rate,500 hertz", "Sampling rate: 500 Hz", "# rate: 0.5 kHz", "# dt: 2 ms", "# Fs (Hz): 500"],
)  # fmt: skip
def test_lines_before_the_table_state_the_rate(line):
    assert_right(read(f"{line}\n{LEADS}\n{BODY}", ReadHints(unit="mV")))
    assert refusal(f"{line}\n{LEADS}\n{BODY}", ReadHints(250.0, "mV")).code == "rate_conflict"


@pytest.mark.parametrize("line", ["# mV", "# unit: mV", "# Units = mV", "Unit,mV", "# [mV]"])
def test_lines_before_the_table_state_the_unit(line):
    assert_right(read(f"{line}\n\n{LEADS}\n{BODY}", ReadHints(500.0)))


@pytest.mark.parametrize(
    "line", ["# rate: 70", "# 50 Hz", "# heart rate: 70", "# notch filter frequency: 50 Hz", "#Hz"]
)
def test_a_heart_rate_or_a_filter_is_no_sampling_rate(line):
    assert refusal(f"{line}\n{LEADS}\n{BODY}", ReadHints(unit="mV")).code == "rate_missing"


def test_lines_that_state_two_rates_or_units_are_refused():
    assert refusal(f"# fs=500\n# fs=250\n{LEADS}\n{BODY}").code == "rate_conflict"
    assert refusal(f"# mV\n# uV\n{LEADS}\n{BODY}").code == "unit_conflict"
    times = beside([f"{n / 500:.3f}" for n in range(50)], "time_s")
    assert refusal(f"# fs=250\n{times}", ReadHints(unit="mV")).code == "rate_conflict"


def test_the_header_may_be_a_comment():
    assert_right(read(f"# {LEADS}\n{BODY}"))
    assert_right(read(f"# {LEADS}\n{BODY}".replace(",", " ")))
    assert_right(read(f"# {LEADS.replace(',', ' ')}\n{BODY}"))


@pytest.mark.parametrize(
    ("name", "time"),
    [("time", "{0:.3f}"), ("Time [s]", "{0:.3f}"), ("t_ms", "{1}"), ("timestamp", "2020-01-01T10:00:00.{1:03}Z"),
     ("Date Time", "01.02.2020 10:00:00.{1:03}"), ("Elapsed time", "'0:00.{1:03}'"), ("Zeit", "10:00:00.{1:03}"),
     ("time", "[10:00:00.{1:03} 01/01/2020]")],
)  # fmt: skip
def test_times_of_any_kind_give_the_rate(name, time):
    cells = [time.format(n / 500, 2 * n) for n in range(50)]
    assert_right(read(beside(cells, name), ReadHints(unit="mV")))


def test_a_clock_may_pass_midnight():
    cells = [f"23:59:59.{950 + 2 * n:03}" if n < 25 else f"00:00:00.{2 * n - 50:03}" for n in range(50)]
    assert_right(read(beside(cells, "time"), ReadHints(unit="mV")))


def test_numbers_that_may_be_samples_or_milliseconds_give_no_rate():
    for step in (1, 2):
        text = beside([str(step * n) for n in range(50)], "time")
        assert refusal(text, ReadHints(unit="mV")).code == "rate_missing"
        assert_right(read(text))


def test_a_clock_of_whole_seconds_is_held_to_the_rate_that_is_given():
    text = beside(["10:00:00"] * 50, "time")
    assert_right(read(text))
    assert refusal(text, ReadHints(unit="mV")).code == "rate_missing"
    assert refusal(text, ReadHints(0.5, "mV")).code == "rate_conflict"


def test_one_column_is_refused_as_what_it_is():
    assert refusal("I\n0.5\n0.25\n").sentence == "The table has one column: lead I alone."
    assert refusal("0.5\n0.25\n0.5\n").sentence == "The table has one column: numbers without a name."
    assert "V1 to V6" in refusal("II (mV)\n0,5\n0,25\n").hint


def test_flags_beside_each_lead_and_a_column_of_numbers_are_left_out():
    header = "TS," + ",".join(f"{lead},{lead}f" for lead in STANDARD_LEADS)
    rows = [f"{n}," + ",".join(f"{cell},1" for cell in row.split(",")) for n, row in enumerate(ROWS)]
    found = read("\n".join([header, *rows]))
    assert_right(found)
    assert [warning.code for warning in found.warnings] == ["channels_ignored"]


def test_the_index_that_pandas_writes_is_no_channel_and_it_is_said():
    found = read(beside([str(n) for n in range(50)], ""))
    assert_right(found)
    assert [warning.message for warning in found.warnings] == ["1 column that is no ECG lead was left out."]


def test_micro_in_latin_1_is_a_micro():
    header = ",".join(f"{lead} (µV)" for lead in STANDARD_LEADS)
    body = "\n".join(",".join(f"{1000 * value:.0f}" for value in row) for row in SIGNAL_LN.T)
    assert_right(read(f"{header}\n{body}".encode("latin-1"), ReadHints(500.0)))


def test_chest_electrodes_beside_limb_leads_are_the_chest_leads():
    header = LEADS.replace(",V", ",C")
    assert_right(read(f"{header}\n{BODY}"))
    assert_right(read(",".join(f"{name}_mV" for name in header.split(",")) + f"\n{BODY}", ReadHints(500.0)))


def test_positions_never_name_a_lead():
    for text in (BODY, BODY.replace(",", " "), f"{','.join(f'ch{n}' for n in range(12))}\n{BODY}"):
        assert refusal(text).code == "leads_missing"
    assert "time_s" in refusal(BODY, ReadHints(500.0, "mV", STANDARD_LEADS[:11])).hint
