"""The commands ask for what a file lacks by their own options, and send and read what is given with them."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from cli import query
from cli.advice import for_one_of_many, in_options

ADVICE = {
    "Add rate_hz and unit to the request, for example rate_hz=500 and unit=mV.": (
        "Add --rate-hz and --unit, for example --rate-hz 500 and --unit mV."
    ),
    "Add unit to the request, for example unit=mV.": "Add --unit, for example --unit mV.",
    "Leave unit out: the file states its own.": "Leave --unit out: the file states its own.",
    "Leave leads out: the file names its own.": "Leave --leads out: the file names its own.",
    "The file states 500 Hz, and the parameter rate_hz 250 Hz.": "The file states 500 Hz, and --rate-hz 250 Hz.",
    "Give the parameter leads with all names in order.": "Give --leads with all names in order.",
    "Choose one with the parameter exam: its place.": "Choose one with --exam: its place.",
    "Choose it with start_s and length_s, such as start_s=60 and length_s=10.": (
        "Choose it with --start-s and --length-s, such as --start-s 60 and --length-s 10."
    ),
    "Put a column record_id beside the leads and choose one with exam.": (
        "Put a column record_id beside the leads and choose one with --exam."
    ),
    "The leads of this exam have no unit; leads and unit are words here.": (
        "The leads of this exam have no unit; leads and unit are words here."
    ),
}


@pytest.mark.parametrize("said", ADVICE)
def test_parameters_of_the_interface_become_options(said):
    assert in_options(said) == ADVICE[said]


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ("Add rate_hz and unit to the request, for example rate_hz=500.", "columns path, rate_hz and unit."),
        ("Choose one with the parameter exam: its place.", "columns path and exam, a row for each exam."),
        ("Choose it with start_s and length_s.", "columns path, start_s and length_s."),
        ("Check the unit and the gain; a unit can be given with the request.", "columns path and unit."),
        ("Leave unit out: the file states its own.", ""),
        ("Export all leads over the same 10 s.", ""),
    ],
)
def test_what_one_of_many_files_lacks_is_said_in_a_table_of_paths(said, more):
    listed = f" For this file alone: list it in a CSV with the {more}" if more else ""
    assert for_one_of_many(said) == in_options(said) + listed


@pytest.fixture
def posted(monkeypatch):
    """What `query` sends as parameters; the service answers each with a refusal that asks for leads."""
    sent = []

    def post(*_, params, **__):
        sent.append(params)
        return httpx.Response(422, json={"detail": "No leads.", "hint": "Give the parameter leads in order."})

    monkeypatch.setattr(query.httpx, "post", post)
    return sent


def test_query_sends_leads_and_is_answered_in_words_of_the_command_line(command, posted, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x")
    code, _, sentence = command("query", tmp_path / "a.csv", "--leads", "I, II,III")
    assert (code, sentence) == (1, "No leads. Give --leads in order.")
    assert posted[0]["leads"] == "I, II,III"
    assert command("query", tmp_path / "a.csv", "--leads", "")[0] == 2
    assert command("query", tmp_path / "a.csv", "--leads", "I," * 101)[0] == 2
    assert len(posted) == 1


def test_embed_reads_a_file_without_names_by_the_leads_that_are_given(command, small_bundle, tmp_path):
    signal_mv = np.random.default_rng(1).normal(size=(8, 5000)).astype(np.float32)
    names = ("V6", "I", "II", "V1", "V2", "V3", "V4", "V5")
    file, out = tmp_path / "raw.npy", tmp_path / "o.npz"
    np.save(file, signal_mv)
    given = ("--rate-hz", 500, "--unit", "mV", "--bundle", small_bundle(), "-o", out, "--device", "cpu")
    vectors = []
    for leads, rows in ((",".join(names), signal_mv), (", ".join(names[1:] + names[:1]), np.roll(signal_mv, -1, 0))):
        np.save(file, rows)
        assert command("embed", "ecg", file, "--leads", leads, *given)[0] == 0
        with np.load(out) as written:
            vectors.append(written["features"])
    np.testing.assert_array_equal(*vectors)


def test_prepared_ecgs_have_the_leads_of_the_bundle(command, small_bundle, tmp_path):
    np.save(tmp_path / "in.npy", np.zeros((1, 12, 96), np.float32))
    arguments = ("--prepared", tmp_path / "in.npy", "--bundle", small_bundle(), "-o", tmp_path / "o.npz")
    assert command("embed", "ecg", *arguments, "--leads", "I,II")[0] == 2
