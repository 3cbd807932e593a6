"""Commands choose an exam or a stretch of a file, and show what the device said, as page and API do."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from cli import query
from inputs.records import MAX_EXAM_LETTERS, MAX_STRETCH_S

SAID = {
    "vendor": "GE",
    "model": "MAC [5500]",
    "recorded_at": "2020-01-31T10:20:30",
    "filters": ["low pass 150 Hz", "50 Hz"],
    "measures": {"heart_rate_bpm": 61.0, "qrs_axis_deg": -30.0, "p_axis_deg": 45.0},
    "statements": ["Sinus rhythm", "\x1b[31mNormal"],
    "paced": False,
}


def answer(**ecg):
    about = {"format": "muse", "rate_hz": 500.0, "duration_s": 10.0, "leads": ["I"], "resampled_to_hz": 400.0}
    return {
        "ecg": about | {"sha256": "ab" * 32} | ecg, "request_id": "r", "warnings": [], "neighbours": [],
        "timing_ms": {"total": 3.0}, "bundle": "b", "generation": "g", "device": "cpu", "disclaimer": "Research.",
        "measured": {"heart_rate_bpm": 60.0, "regular": True, "axis_deg": -28.0, "not_reliable": ["pr_ms"]},
    }  # fmt: skip


@pytest.fixture
def asked(command, monkeypatch, tmp_path):
    """Run `query` with options against a service that gives this answer: what it was asked, what was printed."""
    (tmp_path / "a.dcm").write_bytes(b"x")

    def run(answer, *options):
        sent = []

        def post(url, *, params, **_):
            sent.append(httpx.QueryParams(params))
            return httpx.Response(200, json=answer, request=httpx.Request("POST", url))

        monkeypatch.setattr(query.httpx, "post", post)
        code, said, _ = command("query", tmp_path / "a.dcm", *options)
        return code, dict(sent[0]) if sent else None, " ".join(said.split())

    return run


def test_what_is_chosen_is_sent_and_nothing_where_nothing_is(asked):
    options = ("--exam", "TNMG 12", "--start-s", "2.5", "--length-s", 10, "--device-said")
    code, sent, _ = asked(answer(), *options)
    assert code == 0
    assert sent == {"k": "10", "exam": "TNMG 12", "start_s": "2.5", "length_s": "10.0", "device_said": "true"}
    assert asked(answer())[1] == {"k": "10"}


@pytest.mark.parametrize(
    "options",
    [
        ("--exam", "x" * (MAX_EXAM_LETTERS + 1)),
        ("--exam", ""),
        ("--exam", "a\nb"),
        ("--start-s", "-1"),
        ("--length-s", MAX_STRETCH_S + 0.1),
        ("--length-s", "-1"),
    ],
)
def test_what_is_out_of_range_is_wrong_usage_and_is_not_sent(asked, options):
    assert asked(answer(), *options)[:2] == (2, None)


def test_what_is_just_within_range_is_sent(asked):
    options = ("--exam", "x" * MAX_EXAM_LETTERS, "--start-s", 0, "--length-s", MAX_STRETCH_S)
    assert asked(answer(), *options)[:2] == (
        0, {"k": "10", "exam": "x" * MAX_EXAM_LETTERS, "start_s": "0.0", "length_s": "300.0"},
    )  # fmt: skip


def test_what_the_device_said_stands_beside_what_was_measured_here(asked):
    said = asked(answer(device_said=SAID), "--device-said")[2]
    for words in (
        "Device: GE MAC [5500]", "Recorded at: 2020-01-31T10:20:30", "Filters: low pass 150 Hz, 50 Hz", "Paced: no",
        r"Its interpretation, not checked here: Sinus rhythm; \x1b[31mNormal", "Measured here", "Said by the device",
        "│ rate │ 60/min │ 61/min │", "│ PR │ not reliable │ │", "│ axis │ -28° │ -30° │", "│ P axis │ │ 45° │",
    ):  # fmt: skip
        assert words in said


def test_a_device_that_said_nothing_is_told_only_where_it_was_asked_for(asked):
    nothing = "The file holds nothing that the device said"
    for silent in (answer(), answer(device_said={})):
        assert nothing in asked(silent, "--device-said")[2]
        assert nothing not in asked(silent)[2]


@pytest.fixture
def two_exams(tmp_path):
    time_s = np.arange(5000) / 500
    beats = np.exp(-0.5 * (((time_s % 0.8) - 0.35) / 0.01) ** 2)
    gains = np.random.default_rng(0).uniform(300, 1200, (2, 12))
    np.save(tmp_path / "two.npy", (gains[:, :, None] * beats).round().astype(np.int16))
    return tmp_path / "two.npy"


def test_embed_reads_the_exam_that_was_chosen(command, small_bundle, two_exams, tmp_path):
    bundle, out = small_bundle(), tmp_path / "out.npz"
    options = ("--bundle", bundle, "-o", out, "--device", "cpu", "--rate-hz", 500, "--unit", "uV")
    rows = []
    for exam in (0, 1):
        code, said, _ = command("embed", "ecg", two_exams, *options, "--exam", exam)
        assert code == 0, said
        with np.load(out) as written:
            rows.append(written["features"])
    assert not np.allclose(*rows)
    code, said, _ = command("embed", "ecg", two_exams, *options)
    assert code == 1
    assert "Choose one with --exam" in " ".join(said.split())


def test_embed_says_which_file_had_no_use_for_what_was_chosen(command, small_bundle, two_exams, tmp_path):
    options = ("--bundle", small_bundle(), "-o", tmp_path / "out.npz", "--device", "cpu", "--rate-hz", 500)
    code, said, _ = command("embed", "ecg", two_exams, *options, "--unit", "uV", "--exam", 0, "--start-s", 1)
    assert code == 0
    told = "two.npy: Files of this format are read whole; --start-s and --length-s were not used."
    assert told in " ".join(said.split())


@pytest.mark.parametrize("option", [("--exam", "0"), ("--start-s", "1"), ("--length-s", "1")])
def test_prepared_ecgs_take_no_choice(command, small_bundle, tmp_path, option):
    np.save(tmp_path / "x.npy", np.zeros((1, 12, 96), np.float32))
    given = ("--prepared", tmp_path / "x.npy", "--bundle", small_bundle(), "-o", tmp_path / "out.npz")
    code, said, _ = command("embed", "ecg", *given, *option)
    assert code == 2
    assert "one length" in " ".join(said.replace("│", "").split())
