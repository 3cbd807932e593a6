"""examples/mimic.sh runs as it stands, from two made-up downloads to an index that answers an ECG over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from evaluated import random_bundle

sys.path.insert(0, str(Path(__file__).parent / "inputs"))
sys.path.insert(0, str(Path(__file__).parent / "cohorts" / "adapters"))

from echo_trees import PATIENTS, mimic_ecg, mimic_echo

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def here(tmp_path_factory, micro_recipe) -> Path:
    """Both downloads, a bundle of random weights, and this tree's own `echo2ecg`."""
    folder = tmp_path_factory.mktemp("mimic")
    mimic_ecg(folder / "mimic-iv-ecg")
    mimic_echo(folder / "mimic-iv-echo")
    random_bundle(folder / "bundle", micro_recipe, with_probes=True)
    command = folder / "bin" / "echo2ecg"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli.main "$@"\n')
    command.chmod(0o755)
    return folder


def environment(here: Path) -> dict[str, str]:
    return os.environ | {"PATH": f"{here / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def run(here: Path) -> str:
    folders = [str(here / name) for name in ("mimic-iv-ecg", "mimic-iv-echo", "out", "bundle")]
    command = ["bash", str(ROOT / "examples" / "mimic.sh"), *folders]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(here), cwd=here, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_downloads_become_an_index_that_answers_and_a_second_run_embeds_nothing(here):
    said = run(here)
    assert "Nothing contradicts itself." in said
    assert f"{PATIENTS - 1} studies, {2 * (PATIENTS - 1)} views" in said
    last = said.splitlines()[-1]
    assert last.startswith("Serve it with: ")
    record = next((here / "mimic-iv-ecg").glob("files/*/*/*/40000000.hea"))
    answer = ask(here, last.removeprefix("Serve it with: ").split(), record)
    assert len({neighbour["study_id"] for neighbour in answer["neighbours"]}) == 10
    assert "(0 embedded, 38 reused, 0 skipped)" in run(here)


def ask(here: Path, command: list[str], record: Path) -> dict:
    """What the service that `command` starts answers an ECG with; it has ended then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(here / "bin" / command[0]), *command[1:], "--port", str(port)]
    process = subprocess.Popen(command, env=environment(here), cwd=here)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(client, process)
            files = [("files", (path.name, path.read_bytes())) for path in (record, record.with_suffix(".dat"))]
            answer = client.post("/v1/search", files=files, params={"quality": "report"})
            assert answer.status_code == 200, answer.text
            return dict(answer.json())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the service was not ready within a minute")
