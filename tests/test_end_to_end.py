"""The product's main claim, through its own front door: simulate, rebuild, serve, upload over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pandas as pd
import pytest
from pydicom.data import get_testdata_file
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles" / "demo"
PATIENTS = 70
"""Enough draws for the binomial test: a patient's own study is found about twice as often as chance finds it."""
SEED = 4242
"""No training cohort and no demo has this seed."""


def echo2ecg(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "simulated"
    echo2ecg("simulate", str(folder), "--patients", str(PATIENTS), "--seed", str(SEED))
    return folder


@pytest.fixture(scope="module")
def index(cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    echo2ecg("index", "rebuild", "--bundle", str(BUNDLE), "--cohort", str(cohort), "--index", str(folder))
    return folder


@pytest.fixture(scope="module")
def client(cohort, index, tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "cli.main", "serve", "--bundle", str(BUNDLE), "--index", str(index)]
    command += ["--port", str(port), "--cohort", f"simulated={cohort}"]
    log = tmp_path_factory.mktemp("log") / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "2"}
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(client, process, log)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def upload(cohort: Path, path: str) -> list[tuple[str, tuple[str, bytes]]]:
    file = cohort / path
    parts = [file, file.with_suffix(".dat")] if file.suffix == ".hea" else [file]
    return [("files", (part.name, part.read_bytes())) for part in parts]


def test_a_patients_own_study_ranks_in_the_top_tenth_more_often_than_chance(cohort, client):
    ecgs, studies = pd.read_csv(cohort / "ecgs.csv"), pd.read_csv(cohort / "studies.csv")
    for table in (ecgs, studies):
        table["acquired_at"] = pd.to_datetime(table["acquired_at"])
    pairs = ecgs.merge(studies, on="patient_id", suffixes=("_ecg", "_study"))
    pairs = pairs[(pairs["acquired_at_ecg"] - pairs["acquired_at_study"]).abs() <= pd.Timedelta(days=7)]
    pairs = pairs.drop_duplicates("patient_id")  # one draw per patient: draws must be independent
    top_tenth = len(studies) // 10
    found = 0
    for ecg in pairs.itertuples():
        answer = client.post("/v1/search", params={"k": top_tenth}, files=upload(cohort, ecg.path))
        assert answer.status_code == 200, answer.text
        found += ecg.study_id in [hit["study_id"] for hit in answer.json()["neighbours"]]
    test = binomtest(found, len(pairs), top_tenth / len(studies), alternative="greater")
    assert test.pvalue < 0.05, f"{found} of {len(pairs)}"


def test_the_excluded_patient_is_not_among_the_neighbours(cohort, client):
    ecg = pd.read_csv(cohort / "ecgs.csv").iloc[0]
    studies = pd.read_csv(cohort / "studies.csv")
    own = set(studies.loc[studies["patient_id"] == ecg["patient_id"], "study_id"])
    assert own

    def found(**parameters: str) -> set[str]:
        answer = client.post("/v1/search", params={"k": 100, **parameters}, files=upload(cohort, ecg["path"])).json()
        assert ecg["patient_id"] not in str(answer)
        return {hit["study_id"] for hit in answer["neighbours"]}

    everyone, others = found(), found(exclude_patient=ecg["patient_id"])
    assert len(others) == 100
    assert others & own == set()
    assert everyone - own <= others


def test_a_real_dicom_ecg_is_answered_with_every_field(client):
    real = Path(get_testdata_file("waveform_ecg.dcm", download=False))
    answer = client.post("/v1/search", params={"k": 5}, files={"files": (real.name, real.read_bytes())}).json()
    assert set(answer) >= {
        "request_id", "bundle", "generation", "device", "ecg", "warnings", "predictions", "neighbours", "timing_ms",
        "disclaimer",
    }  # fmt: skip
    assert answer["ecg"]["format"] == "dicom"
    assert answer["ecg"]["rate_hz"] == 1000
    assert answer["ecg"]["duration_s"] == pytest.approx(10.0)
    assert answer["ecg"]["resampled_to_hz"] == 400
    assert len(answer["ecg"]["leads"]) == 12
    assert len(answer["ecg"]["sha256"]) == 64
    assert sum(row["probability"] for row in answer["predictions"]["lvef"]["classes"]) == pytest.approx(1, abs=1e-3)
    assert 0 <= answer["predictions"]["shd"]["probability"] <= 1
    assert [hit["rank"] for hit in answer["neighbours"]] == [1, 2, 3, 4, 5]
    similarities = [hit["similarity"] for hit in answer["neighbours"]]
    assert similarities == sorted(similarities, reverse=True)
    for hit in answer["neighbours"]:
        assert hit["n_views"] == len(hit["views"])
        assert sum(view["pool_weight"] for view in hit["views"]) == pytest.approx(1, abs=1e-3)
        thumbnail = client.get(hit["views"][0]["thumbnail_url"])
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert thumbnail.content[:2] == b"\xff\xd8"


def test_a_rebuild_through_the_service_swaps_generations_without_failing_a_query(cohort, client):
    ecg = upload(cohort, pd.read_csv(cohort / "ecgs.csv").iloc[0]["path"])
    before = client.get("/v1/index").json()
    job = client.post("/v1/index/rebuild", json={"source": "simulated"})
    assert job.status_code == 202, job.text
    second = client.post("/v1/index/rebuild", json={"source": "simulated"})
    assert second.status_code == 409
    assert job.json()["id"] in second.text
    seen = []
    for _ in range(600):
        answer = client.post("/v1/search", params={"k": 3}, files=ecg)
        assert answer.status_code == 200, answer.text
        seen.append((answer.json()["generation"], [hit["study_id"] for hit in answer.json()["neighbours"]]))
        if seen[-1][0] != before["generation"]:
            break
        time.sleep(0.1)
    after = client.get("/v1/index").json()
    assert seen[-1][0] == after["generation"] != before["generation"]
    assert after["studies"] == before["studies"]
    assert len({tuple(studies) for _, studies in seen}) == 1  # the same studies, so the same answer before and after
