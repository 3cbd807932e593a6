"""Tables under the names that programs and languages give columns, and tables that hold no samples, named as such."""

from __future__ import annotations

import numpy as np
import pytest

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile

SIGNAL_LN = np.round(np.random.default_rng(0).normal(size=(12, 50)), 3)
ROWS = [",".join(map(str, row)) for row in SIGNAL_LN.T]
KNOWN = ReadHints(500.0, "mV")


def read(text: str, hints: ReadHints = KNOWN) -> EcgRecording:
    return read_ecg([UploadedFile("x", text.encode())], hints)


def refusal(text: str, hints: ReadHints = KNOWN) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read(text, hints)
    return caught.value


def named(*names: str) -> str:
    return "\n".join([",".join(names), *ROWS])


def turned(above: list[object], first: str = "") -> str:
    rows = [",".join(map(str, [lead, *row])) for lead, row in zip(STANDARD_LEADS, SIGNAL_LN, strict=True)]
    return "\n".join([",".join(map(str, [first, *above])), *rows])


@pytest.mark.parametrize("spelt", ["ECG.{}", "{}..mV.", "ECG.{}..mV.", "{}.mV.", "Abl. {}", "Lead.{}", "Dérivation {}"])
def test_names_are_read_as_r_and_other_languages_write_them(spelt):
    hints = ReadHints(500.0, None if "mV" in spelt else "mV")
    found = read(named(*(spelt.format(lead) for lead in STANDARD_LEADS)), hints)
    assert found.lead_names == STANDARD_LEADS
    np.testing.assert_allclose(found.signal_mv, SIGNAL_LN, atol=1e-6)


def test_letters_that_look_alike_are_those_that_are_meant():
    names = [lead.replace("V", "\u0412") for lead in STANDARD_LEADS[6:]]
    assert read(named("\u0406", "\u2161", "III", "\u0430VR", "aVL", "aVF", *names)).lead_names == STANDARD_LEADS


@pytest.mark.parametrize("unit", ["microvolt", "µV", "uV", "UV", "microvolts", "MicroVolt"])
def test_units_are_stated_in_any_spelling(unit):
    for text in (named(*(f"{lead} [{unit}]" for lead in STANDARD_LEADS)), f"# unit: {unit}\n{named(*STANDARD_LEADS)}"):
        np.testing.assert_allclose(read(text, ReadHints(500.0)).signal_mv, SIGNAL_LN / 1000, atol=1e-6)
        assert refusal(text, KNOWN).code == "unit_conflict"


@pytest.mark.parametrize("line", ["Abtastrate:;500 Hz", "Abtastrate;500 Hz", "Sampling rate:\t500 Hz", "fs =, 500"])
def test_a_rate_may_stand_in_the_cell_behind_its_name(line):
    assert read(f"{line}\n\n{named(*STANDARD_LEADS)}", ReadHints(unit="mV")).rate_hz == 500.0


def test_columns_that_are_not_understood_are_counted():
    error = refusal(named("I", "II", "III", "aVR", "aVL", "aVF", *(f"chest {place}x" for place in range(6))))
    assert (error.code, error.leads) == ("leads_missing", STANDARD_LEADS[6:])
    assert error.sentence == "6 of the 12 columns have names that are not read as leads."
    assert "none of its 12 cells" in refusal(named(*(f"ch{place}" for place in range(12)))).sentence


def test_lead_names_may_be_given_with_blanks_between():
    for names in (" ".join(STANDARD_LEADS), ";".join(STANDARD_LEADS)):
        assert read("\n".join(ROWS), ReadHints(500.0, "mV", (names,))).lead_names == STANDARD_LEADS
    assert "with commas between" in refusal("\n".join(ROWS), ReadHints(500.0, "mV", ("I II x",))).hint


EXAMS = "exam_id,age,is_male,AF,trace_file\n" + "\n".join(f"{row},60,True,False,a.hdf5" for row in range(20))
RECORDS = "ecg_id,patient_id,age,filename_hr\n" + "\n".join(f"{row},1,60,records/{row}" for row in range(20))
LONG = "t,lead,mV\n" + "\n".join(f"{row / 500},{'I' if row < 10 else 'II'},0.1" for row in range(20))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (EXAMS, "3 of them hold words and none is named as a lead: there are no samples in it."),
        (RECORDS, "1 of them holds words and none is named as a lead: there are no samples in it."),
        (LONG, "one row for each sample of each lead"),
        ("Dear colleague,\nplease find the ECG attached.\nYours,\n", "there are no samples in it"),
    ],
    ids=["exams", "records", "long", "letter"],
)
def test_tables_without_columns_of_samples_are_named(text, said):
    error = refusal(text)
    assert said in error.sentence
    assert error.hint


def test_a_turned_table_is_held_to_the_times_above_or_among_its_rows():
    times = [f"{place / 500:.3f}" for place in range(50)]
    assert read(turned(times)).rate_hz == 500.0
    assert refusal(turned(times), ReadHints(250.0, "mV")).code == "rate_conflict"
    assert read(turned(list(range(50))), ReadHints(250.0, "mV")).rate_hz == 250.0
    text = turned(list(range(50))) + "\ntime_s," + ",".join(times)
    assert (read(text, ReadHints(unit="mV")).rate_hz, read(text).warnings) == (500.0, ())
    assert refusal(text, ReadHints(250.0, "mV")).code == "rate_conflict"
    assert refusal(text.replace("time_s", "time"), ReadHints(250.0, "mV")).code == "rate_conflict"
