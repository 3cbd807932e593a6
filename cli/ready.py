"""Waiting until a service that was just started answers."""

from __future__ import annotations

import subprocess
import time

import httpx

POLL_S = 0.2


class NotReady(Exception):
    """The clause that says why: `ended with 1 before it was ready`, `was not ready after 120 s`."""


def wait_until_ready(url: str, *, timeout_s: float, process: subprocess.Popen[bytes] | None = None) -> None:
    """Ask `/readyz` until it answers 200. Raises NotReady when `process` ends or the time runs out first."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            raise NotReady(f"ended with {process.returncode} before it was ready")
        try:
            if httpx.get(f"{url}/readyz", timeout=3.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_S)
    raise NotReady(f"was not ready after {timeout_s:.0f} s")
