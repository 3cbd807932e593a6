"""Small stand-ins for the models and the reader; the index is the real one."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
import uvicorn
from dipole import heart_mv
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import JsonValue

from app.main import create_app, server_config
from app.service import Service
from app.settings import Settings
from index.catalogue.cards import CataloguedView, StudyCard
from index.store import IndexStore
from inputs.errors import UnreadableFile
from inputs.records import STANDARD_LEADS, EcgRecording, ReadHints, UploadedFile
from inputs.specs import EcgSpec
from models.attribution import Attribution
from models.bundle import EcgOutput, Gift
from models.labels import LvefClasses
from models.lacking import Lacking, lacking_parts
from models.probes import Probes

sys.path.insert(0, str(Path(__file__).parent))  # for `wire`

DIM = 8
JPEG = b"\xff\xd8\xff\xe0 a still"
WEBP = b"RIFF    WEBP a cine"


def _make_probes(**parts: Any) -> Probes:
    """Only what an answer says about them counts here: the threshold, and the parts given."""
    lvef = {"weight_CF": [[0.0] * 4] * 3, "bias_C": [0.0] * 3, "calibration": {"shift": [0.0] * 3}}
    shd = {"weight_F": [0.0] * 4, "bias": 0.0, "calibration": {"shift": [0.0]}, "threshold": 0.4}
    without_threshold = {name: value for name, value in shd.items() if name != "threshold"}
    given = {
        "feature_mean_F": [0.0] * 4,
        "feature_std_F": [1.0] * 4,
        "lvef": lvef | parts.pop("lvef", {}),
        "shd": shd | parts.pop("shd", {}),
        "flags": {
            name: without_threshold | (said if isinstance(said, dict) else {"threshold": said})
            for name, said in parts.pop("flags", {}).items()
        },
    }
    return Probes.model_validate(given | parts)


class FakeEmbedder:
    """Embeds an ECG by a fixed random projection; says how large its batches were and can be held up."""

    id = "fake"
    sha256 = "ab" * 32
    gives: frozenset[Gift] = frozenset({"ecg_features", "ecg_embeddings", "search", "predictions"})
    ecg = EcgSpec()
    lvef = LvefClasses()
    device_name = "cpu"
    trained_on: str | None = None

    def __init__(self) -> None:
        self.about: dict[str, JsonValue] = {"id": self.id, "sha256": self.sha256}
        self.probes: Probes | None = _make_probes(schema_version=1)
        self.says_more: dict[str, Callable[[int], Any]] = {}
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.go_on = threading.Event()
        self.go_on.set()
        self._projection = np.random.default_rng(0).standard_normal((12 * 24, DIM)).astype(np.float32)

    @property
    def lacking(self) -> tuple[Lacking, ...]:
        return lacking_parts(self.probes)

    def explainer(self) -> Any:
        return FakeExplainer(self)

    def embed_ecgs(self, windows_BWLN: NDArray[np.float32]) -> EcgOutput:
        self.batches.append(len(windows_BWLN))
        self.threads.add(threading.current_thread().name)
        assert self.go_on.wait(10)
        B = len(windows_BWLN)
        embeddings_BD = windows_BWLN[:, 0, :, ::42].reshape(B, -1) @ self._projection + 1e-3
        embeddings_BD /= np.linalg.norm(embeddings_BD, axis=1, keepdims=True)
        lvef_BC = np.tile(np.array([0.7, 0.2, 0.1], np.float32), (B, 1))
        more = {name: make(B) for name, make in self.says_more.items()}
        said = {"lvef_BC": lvef_BC, "shd_B": np.full(B, 0.6, np.float32), "probes": self.probes} | more
        return EcgOutput(np.ones((B, 4), np.float32), embeddings_BD, **said)


class FakeExplainer:
    """Knows that V2 speaks most for everything, and what it was asked; held up as its embedder is."""

    asked: ClassVar[list[tuple[str, ...]]] = []

    def __init__(self, embedder: FakeEmbedder) -> None:
        self.rows, self._embedder = 32, embedder

    def targets(self, *, match: bool) -> tuple[str, ...]:
        return ("lvef_lowest", "shd", "lvef_percent", *(("match",) if match else ()))

    def attribution(
        self,
        windows_BWLN: NDArray[np.float32],
        study_BD: NDArray[np.float32] | None,
        *,
        asked: tuple[str, ...],
        go_on: Callable[[], None],
    ) -> Attribution:
        self.asked.append(asked)
        end = time.monotonic() + 10
        while not self._embedder.go_on.wait(0.01):
            go_on()
            assert time.monotonic() < end
        map_BTWLP = np.zeros((1, 1, windows_BWLN.shape[1], 12, 4), np.float32)
        map_BTWLP[..., 7, 1], map_BTWLP[..., 0, 2] = 2.0, -1.0
        value = np.ones((1, 1), np.float32)
        return Attribution(asked, map_BTWLP, value, 0 * value, np.arange(4) * 0.6)


class FakeReader:
    """Makes an ECG from the number in the upload, of 666 noise; refuses what does not hold one."""

    def read_ecg(self, files: Sequence[UploadedFile], hints: ReadHints) -> EcgRecording:
        text = files[0].data.decode("latin-1")
        if not text.isdecimal():
            raise UnreadableFile("not_an_ecg", "This is not an ECG.", hint="Send WFDB or DICOM.")
        signal = heart_mv(int(text)).astype(np.float32)
        recorded = STANDARD_LEADS
        if int(text) == 666:
            signal = np.random.default_rng(0).standard_normal((12, 5000)).astype(np.float32)
        if int(text) == 404:  # an ECG without V3
            recorded, signal = tuple(lead for lead in recorded if lead != "V3"), np.delete(signal, 8, axis=0)
        return EcgRecording(signal, hints.rate_hz or 500.0, recorded, "fake")

    def warm(self) -> None:
        return

    def close(self) -> None:
        return


def _write_generation(
    root: Path,
    *,
    studies: int = 20,
    seed: int = 0,
    bundle_sha256: str = FakeEmbedder.sha256,
    alone_VD: Callable[[int], NDArray[np.float32]] | None = None,
) -> str:
    """A real generation of random studies, two to a patient; ids tell the seed.

    With `alone_VD`, the vectors of a row's two views, it has those and a cine of the first; else it is as an older
    version wrote it.
    """
    rng = np.random.default_rng(seed)
    with IndexStore(root).write(bundle_id="fake", bundle_sha256=bundle_sha256, dim=DIM, build={}) as writer:
        for row in range(studies):
            vector_D = rng.standard_normal(DIM).astype(np.float32)
            card = StudyCard(
                row_id=row,
                study_id=f"g{seed}-s{row}",
                patient_id=f"p{row // 2}",
                acquired_at=datetime(2026, 1, 1 + row % 28, tzinfo=UTC),
                age=60.0 + row,
                sex="female" if row % 2 else None,
                lvef_percent=None if row % 5 == 0 else 50.0,
                lvedv_ml=None,
                lvesv_ml=40.0,
                flags={"low_ef": None if row % 5 == 0 else False},
                shd=None if row % 5 == 0 else False,
                views=(CataloguedView("v1", "A4C", 0.75), CataloguedView("v2", None, 0.25)),
                measurements={"septum_cm": 0.9 + 0.01 * row} if row % 5 else {},
            )
            of_views = ({"v1": WEBP}, alone_VD(row)) if alone_VD else ()
            writer.add(card, vector_D / np.linalg.norm(vector_D), {"v1": JPEG}, *of_views)
        return writer.generation_id


@dataclass
class Running:
    """A started application and its parts."""

    client: httpx.Client
    bundle: FakeEmbedder
    service: Service
    settings: Settings

    def search(self, number: int = 1, **params: Any) -> Any:
        return self.client.post("/v1/search", files={"files": ("ecg.dat", str(number).encode())}, params=params)


StartApp = Callable[..., Any]


@dataclass
class Command:
    """What stands for the rebuild program: a Python snippet run in its own process."""

    snippet: str = "raise SystemExit(1)"
    cohorts: list[Path] = field(default_factory=list)

    def __call__(self, cohort_dir: Path) -> list[str]:
        self.cohorts.append(cohort_dir)
        return [sys.executable, "-c", self.snippet]


@pytest.fixture
def write_generation() -> Callable[..., str]:
    return _write_generation


@pytest.fixture
def wait_until() -> Callable[..., None]:
    return _wait_until


@pytest.fixture
def make_bundle() -> type[FakeEmbedder]:
    return FakeEmbedder


@pytest.fixture
def make_probes() -> Callable[..., Probes]:
    return _make_probes


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    _write_generation(folder)
    return folder


@pytest.fixture
def command() -> Command:
    return Command()


@pytest.fixture
def start_app(tmp_path: Path, index_dir: Path, command: Command) -> StartApp:
    """`with start_app(**settings) as running:` gives an application that is ready, unless `wait=False`."""

    @contextmanager
    def start(*, wait: bool = True, **changes: Any) -> Iterator[Running]:
        given = {"bundle_dir": tmp_path / "bundle", "index_dir": index_dir, "index_poll_s": 0.05, "log_level": "error"}
        given["session_cookie_secure"] = False  # this client speaks plain HTTP
        settings = Settings(**(given | changes))
        bundle = FakeEmbedder()
        service = Service(settings, bundle, FakeReader(), command)
        with serving(create_app(settings, service), settings) as url, httpx.Client(base_url=url, timeout=20) as client:
            if wait:
                _wait_until(lambda: not service.reasons_not_ready())
                bundle.batches.clear()
            yield Running(client, bundle, service, settings)

    return start


@pytest.fixture
def serve_app() -> Callable[..., Any]:
    return serving


@contextmanager
def serving(app: FastAPI, settings: Settings) -> Iterator[str]:
    """Real HTTP on a free loopback port, from a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(server_config(app, settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            _wait_until(lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


def _wait_until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Poll until it holds; fail the test when it does not."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
