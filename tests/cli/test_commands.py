"""What the command line promises: quick help, three exit codes, one sentence per failure."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cli import console, query
from cli.failures import sentence_of
from cli.main import app
from index.base import IndexMissing
from inputs.errors import UnreadableFile

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "demo", "simulate", "train", "evaluate", "embed", "index", "serve", "query", "bundle", "cohort", "keys", "doctor",
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


def test_wrong_usage_ends_with_2():
    assert run("simulate").returncode == 2
    assert run("index", "rebuild", "--no-such-option").returncode == 2


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
        (httpx.ConnectError("refused"), "The service could not be reached"),
    ],
)
def test_expected_failures_have_a_sentence(error, words):
    assert words in (sentence_of(error) or "")


def test_our_own_value_errors_are_sentences_and_a_librarys_are_defects():
    from cli.serve import _named_folders

    with pytest.raises(ValueError, match="NAME=FOLDER") as ours:
        _named_folders(["nonsense"])
    assert sentence_of(ours.value)
    with pytest.raises(ValueError, match="Expecting value") as theirs:
        json.loads("")
    assert sentence_of(theirs.value) is None
    assert sentence_of(KeyError("x")) is None


def test_keys_are_made_listed_and_revoked(tmp_path):
    file, runner = str(tmp_path / "keys.json"), CliRunner()
    key = runner.invoke(app, ["keys", "create", "--file", file, "--name", "ward", "--scope", "query"]).output.strip()
    assert key not in (tmp_path / "keys.json").read_text()
    listed = runner.invoke(app, ["keys", "list", "--file", file]).output
    assert "ward" in listed
    assert key not in listed
    runner.invoke(app, ["keys", "revoke", listed.split()[0], "--file", file])
    assert runner.invoke(app, ["keys", "list", "--file", file]).output.strip() == ""


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
    with console.progress("Working", "json") as report:
        report(1, 2, "half")
    assert json.loads(capsys.readouterr().out) == {"done": 1, "total": 2, "message": "half"}
    lines = console._PlainLines("Working")
    with console.err.capture() as captured:
        lines(2, 2)
    assert captured.get().strip() == "Working: 2/2"
