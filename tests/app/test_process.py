"""The service as it runs: its own process, a real bundle with random weights, a real ECG, a signal at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from pydicom.data import get_testdata_file

from index.catalogue.cards import CataloguedView, StudyCard
from index.store import IndexStore
from inputs.specs import EcgSpec, EchoSpec
from models.architecture import demo
from models.bundle import Bundle, BundleDraft, write_bundle
from models.labels import LabelDefinitions
from models.probes import Calibration, LvefProbe, Probes, ShdProbe
from models.towers import EcgTower

SERVE = """
import gc, json, os, sys
from app.main import serve
from app.settings import Settings
def tell(code, end=os._exit):
    left = gc.get_freeze_count(), len(gc.get_objects())
    said = {"modules": sorted(sys.modules), "frozen": left[0], "not_frozen": left[1]}
    print(json.dumps(said), flush=True)
    end(code)
os._exit = tell  # the last that it does
serve(Settings())
"""
COMPUTES = """
import time, torch
import app.service
def endless(queries):
    leads, weights, end = torch.randn(1, 12, 4000), torch.randn(64, 12, 9), time.monotonic() + 60
    while time.monotonic() < end:
        torch.nn.functional.conv1d(leads, weights).relu().sum()
app.service.retrieve = endless
"""
"""The lane then never leaves native code for long."""
ONLY_IN_THE_READING_CHILD = {"pandas", "pyarrow", "sklearn", "wfdb", "pydicom", "av", "cv2", "simplejpeg", "matplotlib"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A bundle of the demo architecture with random weights, and an index of random studies that belongs to it."""
    folder = tmp_path_factory.mktemp("service")
    architecture = demo()
    features = architecture.ecg.embed_dim
    torch.manual_seed(0)
    numbers = tuple([0.0] * features)
    probes = Probes(
        feature_mean_F=numbers,
        feature_std_F=tuple([1.0] * features),
        lvef=LvefProbe(
            weight_CF=(numbers,) * 3, bias_C=(0.5, 0.0, 0.2), calibration=Calibration(shift=(0.0, 0.0, 0.0))
        ),
        shd=ShdProbe(weight_F=numbers, bias=0.0, calibration=Calibration(shift=(0.0,)), threshold=0.4),
    )
    write_bundle(
        folder / "bundle",
        BundleDraft(
            id="random-weights",
            created=datetime(2026, 1, 1, tzinfo=UTC),
            code_version="0",
            seeds={},
            architecture=architecture,
            ecg=EcgSpec(),
            echo=EchoSpec(frames=architecture.echo.frames, size=architecture.echo.size),
            labels=LabelDefinitions(shd_flags=("low_ef",)),
            metrics={},
            training_data={},
        ),
        ecg_tower=EcgTower(architecture),
        echo_encoder=None,
        echo_tower=None,
        probes=probes,
        card="Random weights.",
    )
    bundle = Bundle.load(folder / "bundle", device="cpu", parts=("ecg",))
    store, dim = IndexStore(folder / "index"), bundle.embedding_dim
    rng = np.random.default_rng(0)
    with store.write(bundle_id=bundle.id, bundle_sha256=bundle.sha256, dim=dim, build={}) as writer:
        for row in range(30):
            vector_D = rng.standard_normal(dim).astype(np.float32)
            views = (CataloguedView("v1", "A4C", 1.0),)
            unknown = (None,) * 6
            card = StudyCard(row, f"s{row}", f"p{row}", None, *unknown[:5], {}, None, views)
            writer.add(card, vector_D / np.linalg.norm(vector_D), {})
    return folder


class Server:
    def __init__(self, folder: Path, log: Path, before: str = "", **environment: str) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("ECHO2ECG_")}
        paths = {"ECHO2ECG_BUNDLE_DIR": str(folder / "bundle"), "ECHO2ECG_INDEX_DIR": str(folder / "index")}
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", before + SERVE],
                env=own | paths | {"ECHO2ECG_PORT": "0", "ECHO2ECG_DEVICE": "cpu"} | environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=Path(__file__).parents[2],
            )

    def wait_until_ready(self) -> str:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            for line in self.log.read_text().splitlines():
                event = json.loads(line)["event"]
                if "Uvicorn running on" in event:
                    self.url = event.split()[3]
                    if httpx.get(f"{self.url}/readyz").status_code == 200:
                        return self.url
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    server = Server(folder, tmp_path_factory.mktemp("log") / "log.json", ECHO2ECG_MAX_BODY_BYTES="3000000")
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ecg() -> bytes:
    return Path(str(get_testdata_file("waveform_ecg.dcm", download=False))).read_bytes()


def test_a_real_dicom_ecg_is_answered(server, ecg):
    response = httpx.post(f"{server.url}/v1/search", files={"files": ("a.dcm", ecg)}, params={"k": 3}, timeout=30)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["ecg"]["rate_hz"], len(answer["ecg"]["leads"]), len(answer["neighbours"])) == (1000.0, 12, 3)
    assert answer["bundle"] == "random-weights"
    chances = [row["probability"] for row in answer["predictions"]["lvef"]["classes"]]
    expected = np.exp([0.5, 0.0, 0.2]) / np.exp([0.5, 0.0, 0.2]).sum()
    np.testing.assert_allclose(chances, expected, atol=1e-5)


def test_an_npy_without_its_rate_is_refused_with_what_would_help(server):
    import io

    buffer = io.BytesIO()
    time_s = np.arange(5000) / 500
    np.save(buffer, np.stack([np.sin(2 * np.pi * (1 + lead / 10) * time_s) for lead in range(12)]).astype(np.float32))
    upload = {"files": ("a.npy", buffer.getvalue())}
    refused = httpx.post(f"{server.url}/v1/search", files=upload, timeout=30)
    assert refused.status_code == 422
    assert "rate_hz" in refused.json()["hint"]
    leads = "I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"
    params = {"rate_hz": 500, "unit": "mV", "leads": leads}
    accepted = httpx.post(f"{server.url}/v1/search", files=upload, params=params, timeout=30)
    assert accepted.status_code == 200, accepted.text
    fewer = httpx.post(f"{server.url}/v1/search", files=upload, params={**params, "leads": leads[:-3]}, timeout=30)
    assert fewer.status_code == 422


def test_the_log_is_json_and_knows_neither_file_nor_patient_nor_address(server, ecg, wait_until):
    url = f"{server.url}/v1/search"
    httpx.post(url, files={"files": ("SECRET-name.dcm", ecg)}, params={"exclude_patient": "SECRET-id"}, timeout=30)
    httpx.post(url, files={"files": ("SECRET-name", b"SECRET content")}, timeout=30)
    httpx.get(f"{server.url}/v1/studies/SECRET-study", timeout=30)
    wait_until(lambda: "/v1/studies/{study_id}" in server.log.read_text())
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert "SECRET" not in server.log.read_text()
    assert any(line.get("code") == "unreadable_file" or line.get("status") == 422 for line in lines)
    answered = next(line for line in lines if line.get("status") == 200 and line.get("route") == "/v1/search")
    assert len(answered["upload_sha256"]) == 12


def test_the_metrics_count_what_happened(server, ecg):
    for what in ("predict", "search"):
        httpx.post(f"{server.url}/v1/{what}", files={"files": ecg}, timeout=30)
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'echo2ecg_requests_total{route="/v1/predict",status="200"} 1.0' in metrics
    for stage in ("read", "prepare", "queue", "embed", "search", "catalogue", "total"):
        assert f'echo2ecg_stage_seconds_count{{stage="{stage}"}}' in metrics
    assert (
        'echo2ecg_generation_info{backend="faiss-cpu-flat",bundle="random-weights",generation="000001"} 1.0' in metrics
    )
    assert "echo2ecg_ready 1.0" in metrics
    assert "echo2ecg_index_studies 30.0" in metrics


def test_sigterm_answers_what_was_accepted_and_exits_with_0(folder, tmp_path, ecg):
    server = Server(folder, tmp_path / "log.json")
    try:
        url = server.wait_until_ready()
        accepted = threading.Barrier(9)

        def ask(_: int) -> int:
            with httpx.Client(timeout=30) as client:
                client.get(f"{url}/healthz")
                accepted.wait()
                return client.post(f"{url}/v1/search", files={"files": ecg}).status_code

        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask, number) for number in range(8)]
            accepted.wait()
            time.sleep(0.1)
            server.process.send_signal(signal.SIGTERM)
            statuses = [future.result() for future in asking]
        output, _ = server.process.communicate(timeout=30)
    finally:
        server.stop()
    assert statuses == [200] * 8
    assert server.process.returncode == 0
    left = json.loads(output.splitlines()[-1])
    loaded = {name.split(".")[0] for name in left["modules"]}
    assert not loaded & ONLY_IN_THE_READING_CHILD
    assert left["frozen"] > 2 * left["not_frozen"], "models and libraries are no garbage to look for between answers"


def test_the_second_signal_ends_at_once_and_no_log_holds_a_path(folder, tmp_path):
    server = Server(folder, tmp_path / "log.json")
    try:
        url = httpx.URL(server.wait_until_ready())
        head = f"POST /v1/search HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nContent-Length: 9000\r\n"
        with socket.create_connection((url.host, url.port)) as unfinished:
            unfinished.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(1)
            assert server.process.poll() is None, "the first one waits for what was accepted"
            server.process.send_signal(signal.SIGTERM)
            server.process.communicate(timeout=30)
    finally:
        server.stop()
    log = server.log.read_text()
    assert server.process.returncode == 0
    assert "Traceback" not in log
    assert "site-packages" not in log


def test_the_second_signal_ends_it_with_0_while_the_models_compute(folder, tmp_path, ecg):
    """The interpreter's own end would abort: a thread in native code cannot be ended from Python."""
    server = Server(folder, tmp_path / "log.json", before=COMPUTES)
    try:
        url = server.wait_until_ready()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(httpx.post, f"{url}/v1/search", files={"files": ecg}, timeout=30)
            time.sleep(1)
            for _ in range(2):
                server.process.send_signal(signal.SIGTERM)
                time.sleep(0.3)
            server.process.communicate(timeout=10)
            assert asked.exception() is not None or asked.result().status_code == 503
    finally:
        server.stop()
    assert server.process.returncode == 0, server.log.read_text()
    assert "terminate" not in server.log.read_text()


def test_a_second_signal_ends_it_with_0_when_its_drain_has_ended_too(folder, tmp_path, ecg):
    """What computes is waited for then, and not for longer than it takes somebody to ask again."""
    server = Server(folder, tmp_path / "log.json", before=COMPUTES, ECHO2ECG_DRAIN_TIMEOUT_S="1")
    try:
        url = server.wait_until_ready()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(httpx.post, f"{url}/v1/search", files={"files": ecg}, timeout=30)
            time.sleep(1)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(2.5)
            assert server.process.poll() is None, "the lane computes"
            server.process.send_signal(signal.SIGTERM)
            server.process.communicate(timeout=3)
    finally:
        server.stop()
    assert server.process.returncode == 0, server.log.read_text()


def test_a_port_that_is_taken_ends_the_start_with_1(server, folder, tmp_path):
    second = Server(folder, tmp_path / "log.json", ECHO2ECG_PORT=str(httpx.URL(server.url).port))
    try:
        second.process.communicate(timeout=90)
    finally:
        second.stop()
    assert second.process.returncode == 1
    assert "Another program has port" in second.log.read_text()


def test_a_damaged_bundle_ends_the_start_with_one_sentence(folder, tmp_path):
    from app.main import create_app
    from app.settings import Settings
    from models.bundle import BundleError

    with pytest.raises(BundleError) as refused:
        create_app(Settings(bundle_dir=tmp_path / "nothing", index_dir=folder / "index"))
    assert str(tmp_path) not in str(refused.value)


def test_a_bundle_that_gives_nothing_to_search_with_is_not_served(tmp_path, make_bundle, monkeypatch):
    from app.main import create_app
    from app.settings import Settings
    from models.bundle import BundleError

    embedder = make_bundle()
    embedder.gives = frozenset({"ecg_features"})
    monkeypatch.setattr("app.service.Bundle.load", lambda *_, **__: embedder)
    with pytest.raises(BundleError, match="no ECG embeddings to search with"):
        create_app(Settings(bundle_dir=tmp_path, index_dir=tmp_path))


@pytest.fixture
def demo_copy(tmp_path):
    return Path(shutil.copytree(Path(__file__).parents[2] / "bundles" / "demo", tmp_path / "bundle"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda bundle: (bundle / "echo_encoder.safetensors").unlink(), "echo_encoder.safetensors is missing"),
        (lambda bundle: cut(bundle / "echo_encoder.safetensors"), "echo_encoder.safetensors is damaged"),
        (lambda bundle: cut(bundle / "echo_tower.safetensors"), "echo_tower.safetensors is damaged"),
    ],
)
def test_a_bundle_that_could_not_rebuild_is_not_served_with_cohorts_and_is_without(demo_copy, tmp_path, harm, named):
    from app.main import create_app
    from app.settings import Settings
    from models.bundle import BundleError

    settings = {"bundle_dir": demo_copy, "index_dir": tmp_path / "index", "device": "cpu"}
    with_cohorts = Settings(**settings, cohorts={"main": tmp_path})
    create_app(with_cohorts)
    harm(demo_copy)
    with pytest.raises(BundleError, match=named) as refused:
        create_app(with_cohorts)
    assert "restore its files, or serve it without cohorts" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    create_app(Settings(**settings))


def test_a_bundle_without_an_echo_part_is_not_served_with_cohorts(folder, tmp_path):
    from app.main import create_app
    from app.settings import Settings
    from models.bundle import BundleError

    named = r"no echo_encoder\.safetensors and no echo_tower\.safetensors; restore"
    with pytest.raises(BundleError, match=named):
        create_app(Settings(bundle_dir=folder / "bundle", index_dir=tmp_path, cohorts={"main": tmp_path}))
