"""A real service for drills: its own process and core, an index of random studies, and somebody who watches it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.catalogue.cards import CataloguedView, StudyCard
from index.store import IndexStore
from models.bundle import read_manifest

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "demo"
WATCHER = Path(__file__).parent / "watcher.py"
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

HEALTH_P99_MS = 100.0
GROWTH_MB = 100.0


def write_random_index(root: Path, studies: int = 30, seed: int = 0) -> str:
    """A generation of random studies that belongs to the demo bundle."""
    manifest, sha256 = read_manifest(BUNDLE)
    rng, dim = np.random.default_rng(seed), manifest.architecture.embedding_dim
    with IndexStore(root).write(bundle_id=manifest.id, bundle_sha256=sha256, dim=dim, build={}) as writer:
        for row in range(studies):
            vector_D = rng.standard_normal(dim).astype(np.float32)
            views = (CataloguedView("v1", "A4C", 1.0),)
            card = StudyCard(row, f"s{row}", f"p{row}", None, *(None,) * 5, {}, None, views)
            writer.add(card, vector_D / np.linalg.norm(vector_D), {})
        return writer.generation_id


def _made_up_ecg() -> tuple[tuple[str, bytes], tuple[tuple[str, bytes], ...]]:
    """Ten seconds as a table that names its leads, unit and rate, and as the two files of a WFDB record."""
    time_N = np.arange(5000) / 500
    beat_N = np.exp(-(((time_N % 0.8) - 0.3) ** 2) / 0.0002)
    first_N, second_N = beat_N + 0.05 * np.sin(7 * time_N), 1.4 * beat_N + 0.05 * np.cos(5 * time_N)
    limb = [first_N, second_N, second_N - first_N]
    limb += [-(first_N + second_N) / 2, first_N - second_N / 2, second_N - first_N / 2]
    chest = [beat_N * (lead - 2.5) / 2 + 0.03 * np.sin((lead + 3) * time_N) for lead in range(6)]
    signal_NL = np.stack([*limb, *chest], axis=1)
    head = ",".join(["time_s", *[f"{lead} (mV)" for lead in LEADS]])
    rows = [",".join(f"{value:.4f}" for value in (time_s, *row)) for time_s, row in zip(time_N, signal_NL, strict=True)]
    table = "ecg.csv", "\n".join([head, *rows]).encode()
    lines = ["rec 12 500 5000", *[f"rec.dat 16 1000(0)/mV 16 0 0 0 0 {lead}" for lead in LEADS]]
    counts_NL = np.round(1000 * signal_NL).astype("<i2")
    return table, (("rec.hea", "\n".join([*lines, ""]).encode()), ("rec.dat", counts_NL.tobytes()))


TABLE, RECORD = _made_up_ecg()


def multipart(*files: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an upload."""
    head = 'Content-Disposition: form-data; name="files"; filename="{}"'
    parts = [b"--B\r\n" + head.format(name).encode() + b"\r\n\r\n" + data + b"\r\n" for name, data in files]
    return b"".join(parts) + b"--B--\r\n", {"Content-Type": "multipart/form-data; boundary=B"}


@dataclass
class Served:
    """A running service. `environment` names its folders."""

    process: subprocess.Popen[bytes]
    port: int
    index: Path
    log: Path
    opened: ExitStack

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and content (decoded where it is JSON); status 0 where no answer came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
        except OSError:
            return 0, None
        finally:
            connection.close()
        return response.status, json.loads(content) if "json" in response.getheader("Content-Type", "") else content

    def search(self, *files: tuple[str, bytes], key: str = "") -> tuple[int, Any]:
        body, headers = multipart(*files)
        return self.request("POST", "/v1/search", body, headers | ({"X-API-Key": key} if key else {}))

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Closed with the service at the latest."""
        connection = self.opened.enter_context(socket.socket())
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def ask(self, *files: tuple[str, bytes]) -> tuple[int, float]:
        """An ordinary ECG (a table): the status of its answer, and how long that took (seconds)."""
        started = time.monotonic()
        status, _ = self.search(*files or (TABLE,))
        return status, time.monotonic() - started

    @property
    def children(self) -> list[int]:
        """Its reading children."""
        found: list[int] = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):  # a thread that ended just now
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @contextmanager
    def watched(self, *, growth_mb: float = GROWTH_MB, p99_ms: float = HEALTH_P99_MS) -> Iterator[None]:
        """While the block runs, health is asked and memory read from a process of its own; both must stay in bounds."""
        watcher = subprocess.Popen(
            [sys.executable, str(WATCHER), str(self.port), str(self.process.pid)], stdout=subprocess.PIPE
        )
        assert watcher.stdout is not None
        watcher.stdout.readline()  # it has taken the memory at rest
        try:
            yield
            time.sleep(0.5)
        finally:
            watcher.send_signal(signal.SIGTERM)
            seen = json.loads(watcher.communicate()[0])
        assert seen["failed"] == 0, seen
        assert seen["p99_ms"] < p99_ms, seen
        assert seen["peak_mb"] - seen["rest_mb"] < growth_mb, seen


@contextmanager
def serving(
    folder: Path, *options: str, files: int | None = None, temporary: Path | None = None, **settings: str
) -> Iterator[Served]:
    """The service over `folder`/index (made where it is not there).

    `files`: how many it may have open. `temporary`: the folder of its temporary files.
    """
    if not (folder / "index").exists():
        write_random_index(folder / "index")
    port, log = free_port(), folder / f"log-{time.monotonic_ns()}.json"
    process = start(folder, port, log, *options, files=files, temporary=temporary, **settings)
    with ExitStack() as opened:
        opened.callback(process.wait)
        opened.callback(process.kill)
        served = Served(process, port, folder / "index", log, opened)
        end = time.monotonic() + 90
        while served.request("GET", "/readyz")[0] != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield served


def start(
    folder: Path,
    port: int,
    log: Path,
    *options: str,
    files: int | None = None,
    temporary: Path | None = None,
    **settings: str,
) -> subprocess.Popen[bytes]:
    """The process alone; its errors go to `log`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ECHO2ECG_")}
    own |= {f"ECHO2ECG_{name.upper()}": value for name, value in settings.items()}
    if temporary is not None:
        own["TMPDIR"] = str(temporary)
    command = [sys.executable, "-P", "-m", "cli.main", "serve", "--bundle", str(BUNDLE), "--device", "cpu"]
    command += ["--index", str(folder / "index"), "--port", str(port), *options]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *command]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, env=own | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors
        )
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process.pid, cores[:1])  # who attacks has the others
    return process


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
