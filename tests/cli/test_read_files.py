"""`cohort check --read-files`: every file is read, and what cannot be is told by row and reason."""

from __future__ import annotations

import json
import shutil
from datetime import datetime

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from cli.main import app
from simulator.echo.files import write_still
from simulator.echo.spectral import render_still
from simulator.echo.views import choose_machine
from simulator.patient import sample_patient

TAKEN_AT = datetime.fromisoformat("2020-01-01T00:00")


def check(*arguments):
    return CliRunner().invoke(app, ["cohort", "check", *map(str, arguments), "--read-files", "--workers", "1"])


def flat(found):
    return " ".join(found.output.split())


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


def test_a_spectrum_among_the_clips_is_named_and_no_fault(cohort_dir, tmp_path):
    root = tmp_path / "cohort"
    shutil.copytree(cohort_dir, root)
    echos = pd.read_csv(root / "echos.csv")
    rng = np.random.default_rng(1)
    still = render_still(sample_patient(rng).at(0.0), "PW_MITRAL", choose_machine(0, rng), rng)
    key = {name: str(echos[name][0]) for name in ("patient_id", "study_id")}
    write_still(still, root / "files/still", view_id="pw", acquired_at=TAKEN_AT, uid_seed=1, **key)
    extra = {**echos.iloc[0], "view_id": "pw", "view": "PW_MITRAL", "path": "files/still.dcm"}
    pd.concat([echos, pd.DataFrame([extra])]).to_csv(root / "echos.csv", index=False)
    found = check(root)
    assert found.exit_code == 0
    assert "spectral_doppler:" in found.output
    assert "Every file was read; none cannot be. 1 beside the clips are none and will be skipped." in flat(found)


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
