"""A thousand ECGs to a table, a hundred of them hostile: killed twice at drawn moments, it is the table of a run that
nobody disturbed, and drawn rows are what the service says. `ECHO2ECG_DRILL_ECGS` is how many,
`ECHO2ECG_DRILL_SEED` draws."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import many_ecgs
import pytest
from served import BUNDLE, ROOT, multipart, serving, write_random_index

pytestmark = pytest.mark.drill

N_ECGS = int(os.environ.get("ECHO2ECG_DRILL_ECGS", "1000"))
N_HOSTILE = N_ECGS // 10
N_COMPARED = 60
SEED = int(os.environ.get("ECHO2ECG_DRILL_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
HINTS = {"rate_hz": 500, "unit": "mV", "k": 5}


def started(ecgs: Path, index: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "cli.main", "predict", str(ecgs), "--bundle", str(BUNDLE)]
    command += ["--index", str(index), "--device", "cpu", "-o", str(output)]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in HINTS.items()]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )


def run_to_the_end(*arguments: Path) -> bytes:
    with started(*arguments) as process:
        assert process.wait() == 0
    return arguments[-1].read_bytes()


def kill_after(rows: int, ecgs: Path, index: Path, output: Path) -> None:
    """kill -9 once so many rows are in the journal."""
    journal = output.with_name(output.name + ".part")
    with started(ecgs, index, output) as process:
        while not journal.exists() or journal.read_bytes().count(b"\n") <= rows:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not output.exists()


def compare_with_the_service(
    folder: Path, output: Path, ecgs: dict[str, many_ecgs.Files], drawn: random.Random
) -> None:
    with output.open(newline="", encoding="utf-8") as file:
        rows = [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]
    assert [row["input"] for row in rows] == sorted(ecgs)
    assert sum(row["status"] == "refused" for row in rows) == N_HOSTILE
    with serving(folder) as service:
        for row in drawn.sample(rows, min(N_COMPARED, N_ECGS)):
            body, headers = multipart(*ecgs[row.pop("input")].items())
            status, answer = service.request("POST", f"/v1/search?{urlencode(HINTS)}", body, headers)
            row.pop("reason", None)  # in the words of the command line
            row.pop("asked", None)
            if status != 200:
                row.pop("sha256", None)
            assert row == many_ecgs.row_of(status, answer)


def test_killed_twice_a_table_is_that_of_a_run_nobody_disturbed_and_says_what_the_service_says(tmp_path):
    sys.stdout.write(f"ECHO2ECG_DRILL_SEED={SEED}\n")  # shown where the drill fails
    drawn = random.Random(SEED)
    ecgs = many_ecgs.many(N_ECGS - N_HOSTILE, N_HOSTILE)
    folder, index = many_ecgs.write(tmp_path / "ecgs", ecgs), tmp_path / "index"
    write_random_index(index)
    undisturbed = run_to_the_end(folder, index, tmp_path / "undisturbed.csv")
    killed = tmp_path / "killed.csv"
    for rows in sorted(drawn.sample(range(1, N_ECGS - N_HOSTILE), 2)):
        kill_after(rows, folder, index, killed)
    assert run_to_the_end(folder, index, killed) == undisturbed
    assert not killed.with_name("killed.csv.part").exists()
    compare_with_the_service(tmp_path, killed, ecgs, drawn)
