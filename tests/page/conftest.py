"""A service of a small simulated cohort in its own process, and Debian's Chromium to look at it.

Whatever a test does, its pages must ask no other host for anything, and log no error.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.access.keys import create_key

sys.path.insert(0, str(Path(__file__).parent))  # for `ecgs`
ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "demo"
PATIENTS, SEED = 8, 5151
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 20_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.page)


def _echo2ecg(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="session")
def index(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    _echo2ecg("simulate", str(folder / "cohort"), "--patients", str(PATIENTS), "--seed", str(SEED))
    cohort, index = str(folder / "cohort"), str(folder / "index")
    _echo2ecg("index", "rebuild", "--bundle", str(BUNDLE), "--cohort", cohort, "--index", index)
    return folder / "index"


@contextmanager
def _served(index: Path, log: Path, **settings: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "cli.main", "serve", "--bundle", str(BUNDLE), "--index", str(index)]
    given = (
        os.environ | {"OMP_NUM_THREADS": "1"} | {f"ECHO2ECG_{name.upper()}": value for name, value in settings.items()}
    )
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--port", str(port)], cwd=ROOT, stdout=file, stderr=file, env=given)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/readyz", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def site(index, tmp_path_factory) -> Iterator[str]:
    """The address of a service that asks for no keys."""
    with _served(index, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


@dataclass(frozen=True)
class Keyed:
    url: str
    reader: str
    operator: str


@pytest.fixture(scope="session")
def keyed(index, tmp_path_factory) -> Iterator[Keyed]:
    """A service that asks for keys, one key that may ask and one that may only operate."""
    folder = tmp_path_factory.mktemp("keys")
    reader = create_key(folder / "keys.json", ("query",), "reader")
    operator = create_key(folder / "keys.json", ("admin",), "operator")
    with _served(index, folder / "server.log", keys_file=str(folder / "keys.json"), ui_page="true") as url:
        yield Keyed(url, reader, operator)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: install it (Debian: apt-get install chromium)."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Seen:
    """What the pages of a test asked for and complained of."""

    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def console(self, message) -> None:
        # A refusal is a page of its own, with a status of its own; the browser logs each.
        refused = re.match(r"(Failed to load resource: .* a status of|Response Status Error Code) 4\d\d", message.text)
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(message.text)


@pytest.fixture
def open_page(browser, site) -> Iterator[Callable]:
    """`open_page(**options of a browser's context)` is a page of a new browser that knows nobody."""
    seen = Seen()
    with ExitStack() as stack:

        def start(at: str = site, **options):
            context = browser.new_context(**{"base_url": at, "viewport": {"width": 1400, "height": 900}} | options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE_MS)
            context.on("request", lambda request: seen.urls.append(request.url))
            context.on("console", seen.console)
            context.on("weberror", lambda error: seen.complaints.append(str(error.error)))
            return context.new_page()

        start.seen = seen
        yield start
    assert seen.complaints == []
    assert [url for url in seen.urls if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []
    assert seen.urls


@pytest.fixture
def page(open_page):
    return open_page()
