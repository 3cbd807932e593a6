"""`cohort check --read-files`: every file is read, and what cannot be is told by row and reason."""

from __future__ import annotations

import json
import shutil

from typer.testing import CliRunner

from cli.main import app


def check(*arguments):
    return CliRunner().invoke(app, ["cohort", "check", *map(str, arguments), "--read-files", "--workers", "1"])


def test_unreadable_files_are_named_by_code_and_rows_and_end_with_1(cohort_dir, tmp_path):
    root = tmp_path / "cohort"
    shutil.copytree(cohort_dir, root)
    assert check(root).exit_code == 0
    (root / "files/train1.dat").write_bytes(b"short")
    (root / "files/train0-1.avi").write_bytes(b"no clip")
    found = check(root, "--json", tmp_path / "report.json")
    assert found.exit_code == 1
    assert "Nothing contradicts itself." in found.output
    assert "Every file was read; 2 cannot be." in found.output
    assert "truncated:" in found.output
    written = json.loads((tmp_path / "report.json").read_text())
    assert [(each["table"], each["code"], each["rows"]) for each in written["unreadable"]] == [
        ("ecgs", "truncated", [2]),
        ("echos", "not_an_echo_clip", [2]),
    ]
    assert [window["pairs"] for window in written["windows"]] == [40, 40, 40]


def test_an_ecg_without_a_sample_is_named(cohort_dir, tmp_path):
    root = tmp_path / "cohort"
    shutil.copytree(cohort_dir, root)
    samples = root / "files/train1.dat"
    samples.write_bytes(b"\x00\x80" * (samples.stat().st_size // 2))  # WFDB's sign of a sample that is missing
    found = check(root, "--json", tmp_path / "report.json")
    assert found.exit_code == 1
    (unreadable,) = json.loads((tmp_path / "report.json").read_text())["unreadable"]
    assert (unreadable["code"], unreadable["rows"]) == ("no_samples", [2])


def test_files_of_a_cohort_that_contradicts_itself_are_not_read(cohort_dir, tmp_path):
    root = tmp_path / "cohort"
    shutil.copytree(cohort_dir, root)
    (root / "files/train1.hea").unlink()
    found = check(root)
    assert found.exit_code == 1
    assert "No file was read: mend first what contradicts itself." in found.output
    assert "Every file was read" not in found.output


def test_without_the_option_no_file_is_read(cohort_dir, tmp_path):
    found = CliRunner().invoke(app, ["cohort", "check", str(cohort_dir), "--json", str(tmp_path / "report.json")])
    assert found.exit_code == 0
    assert json.loads((tmp_path / "report.json").read_text())["unreadable"] is None
