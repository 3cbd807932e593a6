"""A service counts as started when it says that it is ready, and not before."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cli.ready import NotReady, wait_until_ready


@contextmanager
def service(*statuses):
    """Answers with these statuses in turn, the last one for good; yields its address and the paths that were asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(statuses[min(len(asked), len(statuses) - 1)])
            self.end_headers()
            asked.append(self.path)

        def log_message(self, *_):
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_service_that_is_up_but_not_ready_is_waited_for():
    with service(503, 503, 200) as (url, asked):
        wait_until_ready(url, timeout_s=30)
    assert asked == ["/readyz"] * 3


def test_one_that_never_gets_ready_is_given_up():
    with service(503) as (url, asked), pytest.raises(NotReady, match="was not ready after 1 s"):
        wait_until_ready(url, timeout_s=0.6)
    assert asked


def test_a_process_that_ends_first_is_not_waited_for():
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    with process, pytest.raises(NotReady, match="ended with 3 before it was ready"):
        wait_until_ready("http://127.0.0.1:9", timeout_s=60, process=process)
