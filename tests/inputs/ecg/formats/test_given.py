"""Leads and a unit that come with a WFDB record or an EDF file: used where it names none, held to what it states."""

from __future__ import annotations

import numpy as np
import pytest
from signal_files import edf_of

from inputs.ecg.read import read_ecg
from inputs.errors import UnreadableFile
from inputs.records import NO_HINTS, STANDARD_LEADS, ReadHints, UploadedFile

NUMBERED = [f"ECG{place}" for place in range(1, 13)]
TURNED = STANDARD_LEADS[::-1]


def wfdb(ecg, names):
    return ecg.wfdb(names=names)


def edf(ecg, names):
    return [UploadedFile("a.edf", edf_of(ecg.signal_mv()[: len(names)], labels=names))]


def segments(ecg, names):
    signal, master = ecg.signal_mv(), b"m/2 12 500 5000\ns1 2000\ns2 3000\n"
    parts = [*ecg.wfdb(signal[:, :2000], name="s1", names=names), *ecg.wfdb(signal[:, 2000:], name="s2", names=names)]
    return [UploadedFile("m.hea", master), *parts]


every_way = pytest.mark.parametrize("files_of", [wfdb, edf, segments])


def refusal(files, hints=NO_HINTS) -> UnreadableFile:
    with pytest.raises(UnreadableFile) as caught:
        read_ecg(files, hints)
    return caught.value


def codes(recording) -> list[str]:
    return [warning.code for warning in recording.warnings]


@every_way
def test_channels_without_the_names_of_leads_take_those_that_are_given_and_it_is_said(ecg, files_of):
    files = files_of(ecg, NUMBERED)
    error = refusal(files)
    assert (error.code, "parameter leads with a name for each of the 12" in error.hint) == ("leads_missing", True)
    found = read_ecg(files, ReadHints(leads=TURNED))
    assert (found.lead_names, codes(found)) == (TURNED, ["leads_replaced"])
    assert "12 channels" in found.warnings[0].message
    np.testing.assert_allclose(found.signal_mv, ecg.signal_mv(), rtol=0, atol=0.00051)


@every_way
def test_not_as_many_names_as_channels_are_refused_with_both_numbers(ecg, files_of):
    error = refusal(files_of(ecg, NUMBERED), ReadHints(leads=STANDARD_LEADS[:8]))
    assert error.code == "leads_missing"
    assert "12 channels" in error.sentence
    assert "8 lead names" in error.sentence


@every_way
def test_names_that_contradict_the_files_own_are_refused(ecg, files_of):
    names = [*STANDARD_LEADS[:10], "ECG1", "ECG2"]
    for given in (TURNED, STANDARD_LEADS[1:] + STANDARD_LEADS[:1], ("II", "I", *STANDARD_LEADS[2:])):
        error = refusal(files_of(ecg, names), ReadHints(leads=given))
        assert (error.code, "Leave leads out" in error.hint) == ("leads_conflict", True)
    assert read_ecg(files_of(ecg, names), ReadHints(leads=STANDARD_LEADS)).lead_names == STANDARD_LEADS
    assert read_ecg(files_of(ecg, names)).lead_names == STANDARD_LEADS[:10]


@every_way
def test_the_files_unit_counts_and_another_one_given_is_a_warning(ecg, files_of):
    files = files_of(ecg, list(STANDARD_LEADS))
    assert codes(read_ecg(files, ReadHints(unit="mV"))) == []
    read = read_ecg(files, ReadHints(unit="uV"))
    assert codes(read) == ["parameter_ignored"]
    np.testing.assert_array_equal(read.signal_mv, read_ecg(files).signal_mv)


def test_a_missing_file_and_missing_leads_are_told_before_a_stretch_is_asked_for(ecg):
    long = "rec 12 500 5000", "rec 12 500 2000000"
    header, data = ecg.wfdb()
    header = UploadedFile("rec.hea", header.data.replace(*(text.encode() for text in long)))
    copy = UploadedFile("rec (1).dat", data.data)
    for files in ([header], [header, copy]):
        error = refusal(files)
        assert error.code == "file_missing"
        assert "under the names that stand in it" in error.hint
    assert refusal([header, data]).code == "too_long"
    numbered, data = ecg.wfdb(names=NUMBERED)
    numbered = UploadedFile("rec.hea", numbered.data.replace(*(text.encode() for text in long)))
    assert refusal([numbered, data]).code == "leads_missing"


def test_it_is_said_how_many_of_a_headers_files_are_missing(ecg):
    header, data = ecg.wfdb()
    lines = header.data.decode().split("\n")
    parted = "\n".join(line.replace("rec.dat", f"rec_{place}.dat") for place, line in enumerate(lines))
    error = refusal([UploadedFile("rec.hea", parted.encode()), UploadedFile("rec_1.dat", data.data)])
    assert (error.code, "names 12 files, of which 11 are not part" in error.sentence) == ("file_missing", True)
    master, *rest = segments(ecg, STANDARD_LEADS)
    assert "names 2 files, of which 1 are not" in refusal([master, *rest[:2]]).sentence
