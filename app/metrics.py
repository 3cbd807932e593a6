"""What Prometheus may know, in a registry of its own. No label ever holds anything from an upload."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
TEXT_AGE_S = 0.25
"""Anybody may ask for the text, and writing it costs more than all the rest of such a request."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters the parts of the service write to. Gauges are computed when they are read, so they cannot go stale."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._text, self._written_at = b"", -math.inf
        self._requests = Counter("echo2ecg_requests", "Requests answered.", ("route", "status"), registry=self.registry)
        self._request_seconds = Histogram(
            "echo2ecg_request_seconds", "Time to answer.", ("route",), buckets=SECONDS, registry=self.registry
        )
        self._stage_seconds = Histogram(
            "echo2ecg_stage_seconds",
            "Time per stage of an answer.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batch_size = Histogram(
            "echo2ecg_batch_size", "ECGs per batch.", buckets=BATCH_SIZES, registry=self.registry
        )
        self._waiting = Gauge("echo2ecg_waiting", "ECGs that wait, by queue.", ("queue",), registry=self.registry)
        self._ready = Gauge("echo2ecg_ready", "1 when queries are answered.", registry=self.registry)
        self._studies = Gauge("echo2ecg_index_studies", "Studies in the index served.", registry=self.registry)
        self._generation = Info("echo2ecg_generation", "The bundle and index served.", registry=self.registry)

    def watch(self, *, queues: Mapping[str, Callable[[], float]], ready: Callable[[], bool]) -> None:
        """Where the gauges are computed from."""
        for name, count in queues.items():
            self._waiting.labels(name).set_function(count)
        self._ready.set_function(lambda: float(ready()))

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def observe_stages(self, timing_ms: Mapping[str, float]) -> None:
        for stage, milliseconds in timing_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1000)

    def observe_batch(self, size: int) -> None:
        self._batch_size.observe(size)

    def set_generation(self, *, bundle: str, generation: str, backend: str, studies: int) -> None:
        self._generation.info({"bundle": bundle, "generation": generation, "backend": backend})
        self._studies.set(studies)

    def text(self) -> bytes:
        """The exposition format Prometheus reads; written anew at most every TEXT_AGE_S."""
        now = time.monotonic()
        if now - self._written_at > TEXT_AGE_S:
            self._text, self._written_at = generate_latest(self.registry), now
        return self._text
