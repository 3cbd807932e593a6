"""Lists of leads in a file of arrays that are of other things than the ECG's channels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from array_files import KNOWN, cells, codes, mat, read, refusal, structs

from inputs.records import STANDARD_LEADS, ReadHints

CHEST_FIRST = STANDARD_LEADS[6:] + STANDARD_LEADS[:6]


def hdf5(fill) -> bytes:
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()


SORTED = tuple(sorted(STANDARD_LEADS))
OF_OTHER_THINGS = {
    "a table of measurements": {"features": structs(lead=SORTED, st_mv=[0.1] * 12)},
    "a ranking": {"ranking": {"lead": cells(SORTED)}},
    "an order of a plot": {"plot_order": cells(SORTED)},
    "an order of a display": {"display": {"order": cells(SORTED)}},
    "an order of a model": {"model": {"input_leads": cells(SORTED)}},
    "a text of a report": {"report": {"text": " ".join(SORTED)}},
    "names of features": {"feature_names": cells(f"{lead}_mean" for lead in SORTED)},
    "letters under another name": {"nm": np.array(SORTED)},
}


@pytest.mark.parametrize("what", OF_OTHER_THINGS)
def test_a_list_of_another_thing_names_no_lead(ecg, what):
    error = refusal(mat(ecg=ecg.signal_mv(), **OF_OTHER_THINGS[what]))
    assert (error.code, "not as the names of the ECG's channels" in error.sentence) == ("leads_missing", True)
    for leads in (STANDARD_LEADS, CHEST_FIRST):
        hints = ReadHints(rate_hz=500.0, unit="mV", leads=leads)
        assert read(mat(ecg=ecg.signal_mv(), **OF_OTHER_THINGS[what]), hints).lead_names == leads


@pytest.mark.parametrize("what", OF_OTHER_THINGS)
def test_names_of_channels_go_before_lists_of_other_things(ecg, what):
    recording = read(mat(ecg=ecg.signal_mv(), lead_names=cells(CHEST_FIRST), **OF_OTHER_THINGS[what]))
    assert (recording.lead_names, codes(recording)) == (CHEST_FIRST, [])


def test_a_list_of_another_thing_in_the_usual_order_only_confirms_it(ecg):
    recording = read(mat(ecg=ecg.signal_mv(), ranking={"lead": cells(STANDARD_LEADS)}))
    assert (recording.lead_names, codes(recording)) == (STANDARD_LEADS, ["lead_order_assumed"])


@pytest.mark.parametrize("table", ["measurements", "features"])
def test_a_table_of_an_hdf5_file_names_no_lead(ecg, table):
    def fill(file):
        file["ecg"] = ecg.signal_mv()
        if table == "measurements":
            file["measurements/lead"] = np.array(SORTED, "S4")
        else:
            file["features"] = np.array([(lead.encode(), 0.1) for lead in SORTED], [("lead", "S4"), ("st", "f8")])

    assert refusal(hdf5(fill)).code == "leads_missing"


@pytest.mark.parametrize(
    "beside",
    [
        {"rhythm_leads": cells(["V1", "II", "V5"])},
        {"bad_leads": cells(["V6", "V1"])},
        {"stleads": cells(["V3", "V2", "V4"])},
        {"classes": cells(["NSR", "AF", "I-AVB", "II-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE", "TWI", "LVH"])},
        {"feature_names": cells(["I_mean", "II_mean", *(f"f{n}" for n in range(10))])},
        {"order_of": {lead: float(n + 1) for n, lead in enumerate(STANDARD_LEADS)}},
    ],
    ids=["of the rhythm", "that are bad", "with ST", "diagnoses", "features", "their numbers"],
)
def test_what_names_some_leads_for_another_reason_contradicts_no_order(ecg, beside):
    recording = read(mat(ecg=ecg.signal_mv(), **beside))
    assert (recording.lead_names, codes(recording)) == (STANDARD_LEADS, ["lead_order_assumed"])


@pytest.mark.parametrize("name", ["leads_of_channels", "chan", "hdr"])
def test_fewer_names_of_channels_in_another_order_contradict_the_usual_one(ecg, name):
    some = cells(["V1", "II", "V5"])
    assert (
        refusal(mat(ecg=ecg.signal_mv(), **{name: {"label": some} if name == "hdr" else some})).code == "leads_missing"
    )


@pytest.mark.parametrize("exam", ["0", "1"])
def test_each_exam_may_have_its_own_names(ecg, exam):
    def fill(file):
        file["ecg"] = np.stack([ecg.signal_mv(seed, seconds=2.0) for seed in range(3)])
        file["lead_names"] = np.array([CHEST_FIRST, STANDARD_LEADS, STANDARD_LEADS], "S4")

    hints = ReadHints(rate_hz=KNOWN.rate_hz, unit=KNOWN.unit, exam=exam)
    assert read(hdf5(fill), hints).lead_names == (CHEST_FIRST, STANDARD_LEADS)[int(exam)]
