"""A service that is told to end twice while it computes: over and over, against real processes."""

from __future__ import annotations

import http.client
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from served import RECORD, TABLE, multipart, serving

pytestmark = pytest.mark.drill

SOON_S = 3.0


def kept_answer(port: int) -> tuple[str, dict[str, str]]:
    """The address of an answer on the page, and what shows that it is this browser's."""
    body, headers = multipart(TABLE)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", body, headers)
    sent = connection.getresponse()
    sent.read()
    connection.close()
    return sent.headers["Location"], {"Cookie": sent.headers["Set-Cookie"].split(";")[0]}


@pytest.mark.parametrize("run", range(5))
@pytest.mark.parametrize("with_map", [False, True], ids=["searches", "searches and a map"])
def test_the_second_signal_ends_it_with_0_and_leaves_nothing(tmp_path, run, with_map):
    """The lane computes in native libraries, whose end beneath it would abort the process in some of the runs."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with serving(tmp_path, temporary=temporary) as served, ThreadPoolExecutor(21) as callers:
        address, cookie = kept_answer(served.port)
        children = served.children
        if with_map:
            callers.submit(served.request, "GET", f"{address}/why?of=lvef_percent", None, cookie)
        for _ in range(20):
            callers.submit(served.search, *RECORD)
        time.sleep(0.15 + 0.1 * run)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert served.process.poll() is None, "the first one waits for what was accepted"
        served.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        code = served.process.wait(60)
        assert time.monotonic() - told < SOON_S
    assert code == 0, served.log.read_text()
    assert "Traceback" not in served.log.read_text()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert not list(temporary.iterdir())
