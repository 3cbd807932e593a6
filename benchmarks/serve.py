"""Requests per second and response times under 16 clients: our service beside a plain one.

    python -m benchmarks.serve [--clients 16] [--seconds 15] [--rounds 2] [--architecture demo|paper]

The plain service is what one writes first: FastAPI, the same readers, preparation, model and index, all called in the
handler, the model under a lock. Both run as their own process, one after the other, and alternate for `--rounds`.
A response counts when it is 200; the answers of both are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from pydicom.data import get_testdata_file
from rich.console import Console
from rich.table import Table

from benchmarks.random_bundle import write_random_bundle, write_random_generation
from cli.ready import NotReady, wait_until_ready
from index.store import IndexStore
from inputs.ecg.prepare import ecg_windows, prepare_ecg
from inputs.ecg.read import read_ecg
from inputs.records import UploadedFile
from models.architecture import demo, paper
from models.bundle import Bundle

STUDIES = 2000
READY_TIMEOUT_S = 600.0
OURS = "from app.main import serve; from app.settings import Settings; serve(Settings())"
PLAIN = "from benchmarks.serve import serve_plainly; serve_plainly()"


def serve_plainly() -> None:
    """The comparison: no batching, no child process, everything in the handler."""
    bundle = Bundle.load(Path(os.environ["ECHO2ECG_BUNDLE_DIR"]), device="cpu", parts=("ecg",))
    generation = IndexStore(Path(os.environ["ECHO2ECG_INDEX_DIR"])).open_current()
    lock = threading.Lock()
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/v1/search")
    def search(files: list[UploadFile], k: int = 10) -> dict[str, Any]:
        recording = read_ecg([UploadedFile(part.filename or "", part.file.read()) for part in files])
        spec = bundle.manifest.ecg
        windows_WLN = ecg_windows(prepare_ecg(recording, spec).signal_LN, spec)
        with lock:
            ecg = bundle.embed_ecgs(windows_WLN[None])
            assert ecg.embeddings_BD is not None
            hits = generation.index.search(ecg.embeddings_BD, k)
        assert ecg.lvef_BC is not None
        assert ecg.shd_B is not None
        cards = generation.catalogue.cards(hits.ids_BK[0])
        return {
            "lvef": ecg.lvef_BC[0].tolist(),
            "shd": float(ecg.shd_B[0]),
            "neighbours": [
                {
                    "study_id": card.study_id,
                    "similarity": float(similarity),
                    "lvef_percent": card.lvef_percent,
                    "acquired_at": card.acquired_at,
                    "views": [vars(view) for view in card.views],
                }
                for card, similarity in zip(cards, hits.similarity_BK[0], strict=True)
            ],
        }

    uvicorn.run(app, port=int(os.environ["ECHO2ECG_PORT"]), log_level="error", access_log=False)


class Server:
    """One of the two services as its own process."""

    def __init__(self, code: str, environment: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | environment | {"ECHO2ECG_PORT": str(port)}
        )

    def __enter__(self) -> Server:
        try:
            wait_until_ready(self.url, timeout_s=READY_TIMEOUT_S, process=self._process)
        except NotReady as error:
            self.__exit__()
            raise SystemExit(f"a service {error}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)


async def _load(url: str, ecg: bytes, clients: int, seconds: float) -> tuple[list[float], int, float]:
    """Times of the 200s in seconds, how many others, and the time it all took."""
    times: list[float] = []
    others = 0
    started = time.perf_counter()

    async def one_client() -> None:
        nonlocal others
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            while time.perf_counter() - started < seconds:
                asked = time.perf_counter()
                response = await client.post("/v1/search", files={"files": ("ecg.dcm", ecg)})
                if response.status_code == httpx.codes.OK:
                    times.append(time.perf_counter() - asked)
                else:
                    others += 1

    await asyncio.gather(*(one_client() for _ in range(clients)))
    return times, others, time.perf_counter() - started


def _nearest(url: str, ecg: bytes) -> list[str]:
    answer = httpx.post(f"{url}/v1/search", files={"files": ("ecg.dcm", ecg)}, timeout=120).json()
    return [hit["study_id"] for hit in answer["neighbours"]]


def main() -> int:
    options = _parse()
    ecg = Path(str(get_testdata_file("waveform_ecg.dcm", download=False))).read_bytes()
    results: dict[str, list[tuple[float, float, float, int]]] = {"ours": [], "plain": []}
    answers = {}
    with tempfile.TemporaryDirectory(prefix="serve-") as name:
        folder = Path(name)
        architecture = paper() if options.architecture == "paper" else demo()
        bundle = write_random_bundle(folder / "bundle", architecture, with_echo=False)
        write_random_generation(folder / "index", bundle, STUDIES)
        environment = {
            "ECHO2ECG_BUNDLE_DIR": str(folder / "bundle"),
            "ECHO2ECG_INDEX_DIR": str(folder / "index"),
            "ECHO2ECG_DEVICE": "cpu",
            "ECHO2ECG_LOG_LEVEL": "error",
        }
        for _ in range(options.rounds):
            for title, code in (("plain", PLAIN), ("ours", OURS)):
                with Server(code, environment) as server:
                    answers[title] = _nearest(server.url, ecg)
                    asyncio.run(_load(server.url, ecg, options.clients, 2.0))
                    times, others, took_s = asyncio.run(_load(server.url, ecg, options.clients, options.seconds))
                p50, p99 = np.percentile(times, [50, 99]) * 1000
                results[title].append((len(times) / took_s, float(p50), float(p99), others))
    if answers["ours"] != answers["plain"]:
        raise SystemExit("the two services do not give the same studies")
    _print(results, options)
    return 0


def _print(results: dict[str, list[tuple[float, float, float, int]]], options: argparse.Namespace) -> None:
    table = Table("Service", "Requests/s", "p50 ms", "p99 ms", "not 200", title=f"{options.clients} clients")
    for title, rounds in results.items():
        rate, p50, p99, others = (statistics.median(column) for column in zip(*rounds, strict=True))
        table.add_row(title, f"{rate:.1f}", f"{p50:.0f}", f"{p99:.0f}", f"{others:.0f}")
    ratio = statistics.median(r[0] for r in results["ours"]) / statistics.median(r[0] for r in results["plain"])
    console = Console()
    console.print(table)
    console.print(
        f"ours / plain: {ratio:.2f} in requests/s ({options.architecture} architecture, {os.cpu_count()} cores)"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--architecture", choices=("demo", "paper"), default="demo")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
