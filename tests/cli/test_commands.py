"""What the command line promises: quick help, three exit codes, one sentence per failure."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import get_args, get_type_hints

import httpx
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import console, doctor, query
from cli.failures import sentence_of
from cli.main import app, train
from cohorts import write_cohort_tables
from cohorts.tables import TABLES
from ground.errors import Refusal
from ground.findings import SHD_FLAGS
from ground.progress import lines_to
from index.base import IndexMissing
from inputs.errors import UnreadableFile

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = str(ROOT / "bundles" / "demo")
COMMANDS = [
    "demo", "simulate", "train", "evaluate", "embed", "index", "serve", "query", "bundle", "cohort", "keys", "doctor",
    "reproduce", "predict",
]  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_every_designed_command_is_in_the_table():
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(f" {command} " in shown for command in COMMANDS)


def test_help_loads_neither_torch_nor_the_web():
    code = (
        "import sys, cli.main; print([m for m in ('torch', 'fastapi', 'faiss', 'pandas', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate",),
        ("index", "rebuild", "--no-such-option"),
        ("simulate", "out", "--seed", "-1"),
        ("train", "{folder}", "--out", "out", "--recipe", "nonsense"),
        ("train", "{folder}", "--out", "out", "--start", "no-such-folder"),
        ("train", "{folder}", "--out", "out", "--device", "tpu"),
        ("train", "{folder}", "--out", "out", "--chunk-size", "0"),
        ("train", "{folder}", "--out", "out", "--seed", "-1"),
        ("evaluate", "{folder}", "{folder}", "--split", "nonsense"),
        ("serve", "--device", "gpu"),
        ("serve", "--cohort", "no-name"),
        ("keys", "create", "--file", "keys.json", "--name", "ward", "--scope", "root"),
        ("index", "rebuild", "--bundle", "{folder}", "--cohort", "{folder}", "--index", "i", "--progress", "bar"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [argument.format(folder=tmp_path) for argument in arguments])
    assert done.exit_code == 2, done.output
    assert list(tmp_path.iterdir()) == []


def test_the_recipes_that_train_offers_are_those_there_are():
    from training.recipes import RECIPES

    offered = get_args(get_type_hints(train, include_extras=True)["recipe"])[1].help
    assert all(re.search(rf"\b{name}\b", offered) for name in RECIPES)


def test_train_passes_the_bundles_to_start_from_on_and_says_which_encoder_stays_unused(tmp_path, monkeypatch):
    import training.train

    given = {}
    monkeypatch.setattr(training.train, "train", lambda *args, **options: given.update(options) or tmp_path / "out")
    start = ROOT / "bundles" / "demo"
    arguments = ["train", str(tmp_path), "--out", str(tmp_path / "out"), "--recipe", "paper", "--start", str(start)]
    alone = CliRunner().invoke(app, arguments)
    assert alone.exit_code == 0
    assert (given["start"], given["ecg_start"]) == (start, None)
    assert "starts from random weights; demo's is used with --ecg-start demo" in alone.output
    both = CliRunner().invoke(app, [*arguments, "--ecg-start", str(tmp_path)])
    assert both.exit_code == 0
    assert (given["start"], given["ecg_start"]) == (start, tmp_path)
    assert "random weights" not in both.output


def test_trains_options_go_over_the_recipe_and_what_is_left_out_stays_the_recipes(tmp_path, monkeypatch):
    import training.train
    from training.recipes import demo, paper

    chosen = []
    monkeypatch.setattr(training.train, "train", lambda cohort, recipe, *_, **__: chosen.append(recipe))
    arguments = ["train", str(tmp_path), "--out", str(tmp_path / "out")]
    options = ["--recipe", "paper", "--bf16", "--compile", "--chunk-size", "64", "--seed", "0"]
    for given in ([], ["--fp32"], options):
        assert CliRunner().invoke(app, [*arguments, *given]).exit_code == 0
    assert chosen == [
        demo(),
        demo().aligned_with(bf16=False),
        paper().aligned_with(bf16=True, compile=True, chunk_size=64).model_copy(update={"seed": 0}),
    ]
    assert demo().alignment.bf16


def test_evaluate_keeps_what_it_prepares_where_it_is_told(tmp_path, monkeypatch):
    folders = []

    class Asked(Exception):
        """Ends the command where the evaluation would begin."""

    def ask(*_, work, **__):
        folders.append(work)
        raise Asked

    monkeypatch.setattr("training.evaluation.evaluate.evaluate", ask)
    for options in ((), ("--work", str(tmp_path / "kept"))):
        CliRunner().invoke(app, ["evaluate", str(tmp_path), str(tmp_path), *options])
    assert folders == [None, tmp_path / "kept"]


def test_verifying_a_folder_without_an_index_is_a_failure(tmp_path):
    done = CliRunner().invoke(app, ["index", "verify", "--index", str(tmp_path)])
    assert isinstance(done.exception, IndexMissing)
    assert "verifies" not in done.output


def test_doctor_looks_at_everything_even_when_a_look_fails(monkeypatch):
    def broken():
        raise ImportError("No module named 'av'")

    def refused():
        raise UnreadableFile("x", "The sample cannot be read.")

    for name in ("_versions", "_device", "_search_backend", "_ecg_decoders", "_baseline_solver", "_bundle"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Finding("Seen", "fine", "so"))
    monkeypatch.setattr(doctor, "_echo_decoders", broken)
    monkeypatch.setattr(doctor, "_ecg_decoders", refused)
    findings = doctor.examine()
    assert len(findings) == 9
    states = {finding.subject: finding for finding in findings}
    assert states["Echo files"].state == states["ECG files"].state == "missing"
    assert "No module named 'av'" in states["Echo files"].sentence
    assert states["ECG files"].sentence == "The sample cannot be read."


def answer(**more):
    return {
        "ecg": {
            "format": "wfdb", "rate_hz": 500.0, "duration_s": 10.0, "leads": ["I"], "resampled_to_hz": 400.0,
            "sha256": "ab" * 32,
        },
        "request_id": "r", "warnings": [], "neighbours": [], "timing_ms": {"total": 3.0}, "bundle": "b",
        "generation": "g", "device": "cpu", "disclaimer": "Not a medical device.",
    } | more  # fmt: skip


def test_an_answer_names_the_lvef_ranges_and_the_one_predicted():
    classes = [
        {"label": "reduced", "range": "<=40 %", "probability": 0.7},
        {"label": "preserved", "range": ">=50 %", "probability": 0.3},
    ]
    shd = {"positive": True, "threshold": 0.4, "probability": 0.61}
    predictions = {"lvef": {"classes": classes, "predicted": "reduced"}, "shd": shd}
    with console.out.capture() as captured:
        query.print_answer(answer(predictions=predictions))
    rows = [line for line in captured.get().splitlines() if "LVEF" in line and "0." in line]
    assert "LVEF <=40 % (reduced)" in rows[0]
    assert "most probable" in rows[0]
    assert "most probable" not in rows[1]
    assert "positive (threshold 0.40)" in captured.get()


def test_an_answer_of_a_bundle_without_probes_is_printed_without_predictions():
    with console.out.capture() as captured:
        query.print_answer(answer())
    assert "Predictions" not in captured.get()
    assert "Not a medical device." in captured.get()


def test_an_expected_failure_is_one_sentence_and_1(tmp_path):
    (tmp_path / "something.txt").write_text("not a cohort")
    done = run("simulate", str(tmp_path), "--patients", "1")
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "something.txt").read_text() == "not a cohort"


def test_asking_an_empty_index_folder_is_one_sentence(tmp_path):
    done = run("index", "info", "--index", str(tmp_path))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in done.stderr


def test_a_failed_rebuild_tells_a_program_why_in_json(tmp_path):
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    bundle = ROOT / "bundles" / "demo"
    done = run(
        "index", "rebuild", "--bundle", str(bundle), "--cohort", str(cohort), "--index", str(tmp_path / "index"),
        "--progress", "json",
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout.strip().splitlines()[-1])["error"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnreadableFile("unsupported_format", "Not an ECG.", hint="Send WFDB."), "Not an ECG. Send WFDB."),
        (IndexMissing("There is no index."), "There is no index."),
        (OSError(28, "No space left on device"), "There is no space left on the device."),
        (OSError(122, "Disk quota exceeded", "index"), "There is no space left on the device."),
        (OSError(30, "Read-only file system", "index/lock"), "Read-only file system: index/lock"),
        (OSError(5, "Input/output error"), "Input/output error."),
        (PermissionError(13, "Permission denied", "keys.json"), "Permission denied: keys.json"),
        (httpx.ConnectError("refused"), "The service could not be reached"),
    ],
)
def test_expected_failures_have_a_sentence(error, words):
    assert words in (sentence_of(error) or "")


def test_refusals_are_sentences_and_value_errors_are_defects_whoever_raises_them():
    from models.labels import LvefClasses
    from training.recipes import named_recipe

    with pytest.raises(Refusal, match="no recipe") as refused:
        named_recipe("nonsense")
    assert sentence_of(refused.value) == refused.value.sentence
    with pytest.raises(ValueError, match="unknown LVEF") as ours:
        LvefClasses().class_of([float("nan")])
    assert sentence_of(ours.value) is None
    with pytest.raises(ValueError, match="Expecting value") as theirs:
        json.loads("")
    assert sentence_of(theirs.value) is None
    assert sentence_of(KeyError("x")) is None
    assert sentence_of(OSError(9, "Bad file descriptor")) is None
    assert sentence_of(OSError("without a number")) is None


def test_keys_are_made_listed_and_revoked(tmp_path):
    file, runner = str(tmp_path / "keys.json"), CliRunner()
    key = runner.invoke(app, ["keys", "create", "--file", file, "--name", "ward", "--scope", "query"]).output.strip()
    assert key not in (tmp_path / "keys.json").read_text()
    listed = runner.invoke(app, ["keys", "list", "--file", file]).output
    assert "ward" in listed
    assert key not in listed
    runner.invoke(app, ["keys", "revoke", listed.split()[0], "--file", file])
    assert runner.invoke(app, ["keys", "list", "--file", file]).output.strip() == ""


def test_a_key_ends_on_a_day_or_after_days_and_the_list_says_when(tmp_path):
    create = ["keys", "create", "--file", str(tmp_path / "keys.json"), "--name", "ward"]
    runner = CliRunner()
    for expiry in (["--expires", "2999-01-02"], ["--days", "90"], []):
        assert runner.invoke(app, [*create, *expiry]).exit_code == 0
    on_a_day, after_days, never = runner.invoke(app, ["keys", "list", *create[2:4]]).output.splitlines()
    assert on_a_day.endswith("expires 2999-01-02")
    assert after_days.endswith(f"expires {datetime.now(UTC) + timedelta(days=90):%Y-%m-%d}")
    assert "expire" not in never
    for wrong in (["--expires", "2020-01-01"], ["--days", "0"], ["--days", "9", "--expires", "2999-01-02"]):
        assert runner.invoke(app, [*create, *wrong]).exit_code == 2


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(app, ["--version"]).output.split() == ["echo2ecg", version("echo2ecg")]


def test_a_problem_of_the_service_is_shown_as_its_own_sentence(monkeypatch, tmp_path):
    problem = {"detail": "The ECG has no lead V3.", "hint": "Send all twelve leads.", "code": "leads_missing"}
    answer = httpx.Response(422, json=problem, headers={"content-type": "application/problem+json"})
    monkeypatch.setattr(query.httpx, "post", lambda *args, **kwargs: answer)
    file = tmp_path / "a.dcm"
    file.write_bytes(b"x")
    with pytest.raises(query.QueryRefused, match=r"no lead V3\. Send all twelve leads"):
        query.ask("http://127.0.0.1:1", [file], {})


def test_progress_is_plain_lines_off_a_terminal_and_json_for_programs(capsys, monkeypatch):
    monkeypatch.setattr(console, "PLAIN_INTERVAL_S", 0.0)
    lines_to(sys.stdout)(1, 2, "half")
    assert json.loads(capsys.readouterr().out) == {"done": 1, "total": 2, "message": "half"}
    lines = console._PlainLines("Working")
    with console.err.capture() as captured:
        lines(2, 2)
    assert captured.get().strip() == "Working: 2/2"


def test_a_cohort_check_names_table_count_and_rows_of_every_problem_and_ends_with_1(tmp_path):
    day = "2020-01-01T00:00:00"
    study = {"patient_id": ["a", "b", "b"], "study_id": ["1", "2", "2"], "acquired_at": day}
    values = {"age": 50, "sex": "female", "lvef_percent": [60, 140, 55], "lvedv_ml": 100, "lvesv_ml": 40}
    write_cohort_tables(
        tmp_path,
        pd.DataFrame({"patient_id": ["a", "b"], "ecg_id": ["1", "2"], "acquired_at": day, "path": ["1.hea", "2.hea"]}),
        pd.DataFrame(study | {"view_id": ["1", "2", "3"], "path": ["a.dcm", "b.dcm", "b.dcm"]}),
        pd.DataFrame(study | values | dict.fromkeys(SHD_FLAGS, False)),
        pd.DataFrame({"patient_id": ["a", "b", "a"], "split": ["train", "val", "test"]}),
    )
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(b"x")
    done = run("cohort", "check", str(tmp_path))
    assert done.returncode == 1
    lines = [re.split(r"\s*│\s*", line.strip("│ ")) for line in done.stdout.splitlines() if "│" in line]
    assert [line for line in lines if line[0].endswith(("day", "days"))] == [
        [apart, "3", "2", "2", "2"] for apart in ("1 day", "7 days", "30 days")
    ]
    assert sorted(line for line in lines if not line[0].endswith(("day", "days"))) == sorted(
        [
            ["studies", "lvef_percent must lie between 0 and 100", "1", "2"],
            ["studies", "The same study_id stands in more than one row", "1", "3 (as 2)"],
            ["splits", "The patient is in more than one split", "2", "1, 3"],
            ["ecgs", "The file is not there", "2", "1, 2"],
        ]
    )
    assert "2 patients, 2 ECGs, 3 studies, 3 views." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("index", "rebuild", "--bundle", BUNDLE, "--index", "{out}", "--cohort"), "The cohort has no studies"),
        (("train", "--out", "{out}"), "There are no ECGs and no studies"),
        (("train", "--out", "{out}", "--recipe", "masked_ecg"), "There are no ECGs and no studies"),
        (("evaluate", BUNDLE), "no pair of an ECG and a study of the test patients"),
        (("cohort", "check"), "There are no ECGs and no studies"),
    ],
)
def test_a_cohort_of_header_rows_is_one_sentence_and_1_and_leaves_nothing(arguments, words, tmp_path, command):
    empty = {name: pd.DataFrame(columns=list(columns)) for name, columns in TABLES.items()}
    write_cohort_tables(tmp_path / "cohort", **empty)
    code, printed, sentence = command(*(part.format(out=tmp_path / "out") for part in arguments), tmp_path / "cohort")
    assert code == 1
    assert words in sentence + printed
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]
