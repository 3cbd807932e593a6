"""A table of many ECGs: a row for each, the numbers of the service, and a hostile file costs its own row alone."""

from __future__ import annotations

import csv
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

import httpx
import many_ecgs
import pandas as pd
import pytest
import uvicorn

from app.main import create_app, server_config
from app.service import Service
from app.settings import Settings
from cli.advice import for_one_of_many
from inputs.guarded.reader import GuardedReader
from inputs.limits import ChildLimits

sys.path.insert(0, str(Path(__file__).parents[1] / "drills"))
from served import BUNDLE, write_random_index

K = 3
HINTS = {"rate_hz": 500, "unit": "mV"}
"""For the files that do not state them."""
NARROW = partial(GuardedReader, ChildLimits(memory_bytes=64 * 2**20))
"""Few files end a child of the usual size."""


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, without the cells that are empty."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    write_random_index(folder)
    return folder


@pytest.fixture(scope="module")
def service(index):
    """The service with the demo bundle and reading children like those of the command, in this process."""
    settings = Settings(bundle_dir=BUNDLE, index_dir=index, device="cpu", log_level="error")
    service = Service.load(settings)
    service = Service(settings, service._embedder, NARROW(workers=1), lambda cohort: [])
    server = uvicorn.Server(server_config(create_app(settings, service), settings))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
            while not server.started or client.get("/readyz").status_code != 200:
                assert thread.is_alive()
                time.sleep(0.05)
            yield client
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def predict(command, monkeypatch):
    """Run the command: (exit code, everything printed, the sentence of an expected failure)."""
    monkeypatch.setattr("cli.predict.GuardedReader", NARROW)
    return partial(command, "predict", "--bundle", BUNDLE, "--device", "cpu")


ECGS = many_ecgs.many(50, 9) | {"ward0/hungry.npy": many_ecgs.HUNGRY}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return many_ecgs.write(tmp_path_factory.mktemp("many"), ECGS)


def test_sixty_ecgs_of_which_ten_are_hostile_give_the_rows_that_the_service_gives(
    folder, index, service, predict, tmp_path
):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in HINTS.items()]
    code, printed, sentence = predict(folder, "-o", tmp_path / "out.csv", "--index", index, "--k", K, *options)
    assert (code, sentence) == (0, "")
    rows = rows_of(tmp_path / "out.csv")
    assert [row["input"] for row in rows] == sorted(ECGS)
    for row in rows:
        files = [("files", (name, data)) for name, data in ECGS[row.pop("input")].items()]
        answer = service.post("/v1/search", files=files, params=HINTS | {"k": K})
        said = answer.json()
        if answer.status_code != 200:
            reason, _ = row.pop("reason"), row.pop("sha256", None)
            assert reason == for_one_of_many(f"{said['detail']} {said.get('hint', '')}".strip())
        elif "withheld" in said:
            withheld = [w for w in said["warnings"] if w["severity"] == "withheld"]
            sentences = [*(w["message"] for w in withheld), *(w.get("hint") for w in withheld)]
            assert row.pop("reason") == for_one_of_many(" ".join(dict.fromkeys(filter(None, sentences))))
        row.pop("asked", None)
        assert row == many_ecgs.row_of(answer.status_code, said)
    counted = pd.Series([row["status"] for row in rows]).value_counts().to_dict()
    assert counted == {"answered": 45, "withheld": 5, "refused": 9, "failed": 1}
    assert "60 ECGs: 45 answered, 5 withheld, 9 refused, 1 failed." in printed
    codes = pd.Series([row["reason_codes"] for row in rows if row["status"] == "refused"]).value_counts()
    (told,) = (line for line in printed.splitlines() if line.startswith("  refused: "))
    assert sorted(told.removeprefix("  refused: ").split(", ")) == sorted(f"{code} {n}" for code, n in codes.items())
    assert "  failed: reading_failed 1" in printed
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]
