"""Asks a service for its health and reads its memory, until SIGTERM: a process of its own, so that nothing slows it.

python watcher.py PORT PID
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def watch(port: int, pid: int) -> None:
    """Ask and read until SIGTERM, then say what was seen."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    rest_mb = peak_mb = _memory_mb(pid)
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    times_ms, failed = [], 0
    while not ended:
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            failed += connection.getresponse().status != 200
        except OSError:
            failed += 1
        finally:
            connection.close()
        times_ms.append((time.perf_counter() - started) * 1000)
        peak_mb = max(peak_mb, _memory_mb(pid))
        time.sleep(0.03)
    p99_ms = sorted(times_ms)[int(0.99 * len(times_ms))]
    seen = {"rest_mb": rest_mb, "peak_mb": peak_mb, "p99_ms": p99_ms, "max_ms": max(times_ms), "asked": len(times_ms)}
    sys.stdout.write(json.dumps(seen | {"failed": failed}))


if __name__ == "__main__":
    watch(int(sys.argv[1]), int(sys.argv[2]))
