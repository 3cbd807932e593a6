"""What files, tables, services and exceptions say is shown letter by letter: no markup, no escape, no second line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

import cli.console
from cli.cohort_report import print_cohort_report
from cli.console import PlainConsole, err, out
from cli.doctor import Finding, print_findings
from cli.main import app
from cli.query import print_answer
from cohorts import CohortFinding, CohortReport
from ground.errors import Refusal
from ground.letters import has_control, made_visible

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = {
    "[/red]": "[/red]",
    "[link=http://x]y[/link]": "[link=http://x]y[/link]",
    ":pile_of_poo:": ":pile_of_poo:",
    "x\x1b]0;pwned\x07\x1b[31mred": r"x\x1b]0;pwned\x07\x1b[31mred",
    "x\x9b31mred": r"x\x9b31mred",
    "a\nSet-Cookie: x=1": r"a\nSet-Cookie: x=1",
    "a\r\x1b[2Kb": r"a\r\x1b[2Kb",
    "\u202egnp.exe": r"\u202egnp.exe",
    "a\u2028b": r"a\u2028b",
    "\udcff": r"\udcff",
}
every_text = pytest.mark.parametrize(("text", "shown"), HOSTILE.items(), ids=map(ascii, HOSTILE))


def printed(console: Console, show) -> str:
    """What a console is given to show, without the spaces and borders that tables fold it with."""
    with console.capture() as capture:
        show()
    said = capture.get()
    assert not has_control(said.replace("\n", ""))
    return "".join(said.replace("│", "").split())


def without_spaces(text: str) -> str:
    return "".join(text.split())


@every_text
def test_letters_are_spelt_out_and_others_left_alone(text, shown):
    assert made_visible(text) == shown
    assert made_visible("µV · José 心 a\u00a0b \\n") == "µV · José 心 a\u00a0b \\n"


@every_text
def test_a_string_is_one_line_and_no_markup_in_prints_tables_and_titles(text, shown):
    console = PlainConsole(width=200)
    with console.capture() as capture:
        console.print(text)
    assert capture.get() == f"{shown}\n"
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    assert printed(console, lambda: console.print(table)).count(without_spaces(shown)) == 3


@every_text
def test_json_stays_json_and_holds_no_such_letter(text, shown):
    console = PlainConsole(width=200)
    with console.capture() as capture:
        console.print_json(data={"name": text})
    assert json.loads(capture.get()) == {"name": text}
    assert capture.get().isascii()
    assert "\x1b" not in capture.get()


@every_text
def test_an_answer_of_a_service_is_shown_letter_by_letter(text, shown):
    view = {"view_id": text, "view": text, "pool_weight": 1.0, "thumbnail_url": text}
    hit = {"study_id": text, "acquired_at": None, "age": None, "sex": text, "lvef_percent": None, "shd": None}
    lvef = {"classes": [{"label": text, "range": text, "probability": 0.7}], "predicted": text}
    flag = {"flag": text, "words": text, "probability": 0.5, "threshold": 0.5, "positive": True}
    shd = {"probability": 0.6, "threshold": 0.4, "positive": True, "flags": [flag], "prediction_set": [text]}
    answer = {
        "request_id": text,
        "ecg": {"format": text, "rate_hz": 1, "duration_s": 1, "leads": [text], "resampled_to_hz": 1, "sha256": text},
        "warnings": [{"code": text, "message": text, "leads": [text]}],
        "predictions": {"lvef": lvef | {"prediction_set": [text, text]}, "shd": shd},
        "neighbours": [hit | {"rank": 1, "similarity": 0.5, "n_views": 1, "views": [view]}],
        "bundle": text,
        "generation": text,
        "device": text,
        "timing_ms": {text: 1.0},
        "disclaimer": text,
    }
    said = printed(out, lambda: print_answer(answer))
    assert without_spaces(f"ECG {shown}, 1 Hz") in said
    assert said.count(without_spaces(shown)) >= 10


@every_text
def test_findings_are_shown_letter_by_letter(text, shown):
    found = CohortReport((CohortFinding("code", text, text, 1, (1,)),))
    assert printed(out, lambda: print_cohort_report(found, None)).count(without_spaces(shown)) == 2
    assert without_spaces(shown) in printed(out, lambda: print_findings([Finding(text, "note", text)]))


@every_text
def test_progress_is_shown_letter_by_letter_in_lines_and_on_a_terminal(text, shown, monkeypatch):
    lines = cli.console._PlainLines("Embedding")
    assert without_spaces(shown) in printed(err, lambda: lines(1, 1, text))
    terminal = Console(file=io.StringIO(), force_terminal=True, width=160, color_system=None)
    monkeypatch.setattr(cli.console, "err", terminal)
    with cli.console.progress("Embedding") as report:
        report(1, 2, text)
    assert shown in terminal.file.getvalue()
    assert text == shown or text not in terminal.file.getvalue()


@every_text
def test_a_failure_is_one_line(text, shown, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise Refusal("code", f"It failed: {text}.")

    monkeypatch.setattr("cli.query.ask", fail)
    (tmp_path / "ecg").write_bytes(b"x")
    monkeypatch.setattr("sys.argv", ["echo2ecg", "query", str(tmp_path / "ecg")])
    with err.capture() as capture, pytest.raises(SystemExit) as ended:
        cli.main.main()
    assert ended.value.code == 1
    assert capture.get() == f"It failed: {shown}.\n"


@every_text
@pytest.mark.parametrize(
    "arguments",
    [
        ["{}"],
        ["simulate", "--{}"],
        ["simulate", "out", "{}"],
        ["query", "{}"],
        ["serve", "--cohort", "={}"],
        ["train", ".", "--out", "x", "--device", "{}"],
        ["keys", "create", "--name", "x", "--scope", "{}", "--file", "keys"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_wrong_usage_is_told_letter_by_letter(text, shown, arguments):
    done = CliRunner().invoke(app, [argument.format(text) for argument in arguments], env={"COLUMNS": "400"})
    assert done.exit_code == 2
    assert not has_control(done.output.replace("\n", ""))
    assert "\nSet-Cookie" not in done.output


def test_a_name_in_a_table_of_a_hostile_bundle_is_shown_by_the_command_itself(tmp_path):
    keys = tmp_path / "keys.json"
    name = "x\x1b]0;pwned\x07[/red]\nid"
    run = [sys.executable, "-m", "cli.main", "keys"]
    subprocess.run([*run, "create", "--name", name, "--file", keys], cwd=ROOT, check=True, capture_output=True)
    done = subprocess.run([*run, "list", "--file", keys], cwd=ROOT, check=True, capture_output=True, text=True)
    assert r"x\x1b]0;pwned\x07[/red]\nid" in done.stdout
    assert done.stdout.count("\n") == 1


def test_no_command_prints_past_the_console():
    """Markup is off for all; a `Text` made of foreign words would get around it."""
    sources = {path.name: path.read_text() for path in (ROOT / "cli").glob("*.py")}
    assert [name for name, text in sources.items() if "markup=True" in text or "from_markup" in text] == []
    assert [name for name, text in sources.items() if "Console(" in text] == ["console.py"]
