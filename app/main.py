"""Put the service together and run it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import gc
import logging
import math
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from types import FrameType
from typing import Any, NoReturn

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.access.keys import check_access
from app.http.connections import BoundedProtocol
from app.http.frame import add_frame
from app.http.kept import Kept
from app.http.origins import ConnectionLimits, Connections
from app.http.problems import install_handlers
from app.logs import configure_logging
from app.recent_refusals import RecentRefusals
from app.routes import (
    ecg,
    health,
    index,
    info,
    jobs,
    keys,
    refusals,
    studies,
)
from app.service import Service
from app.settings import Settings, SettingsError, without_effect
from app.web import admin, admin_session, answers, assets, components, docs, page, session, study_page, why

KEEP_ALIVE_S = 30
_TURN_S = 0.0005
"""After so long a thread of pure Python lets the event loop go on; by default it is ten times as long."""
ACCEPTED_AT_ONCE = 512
"""Connections that may be taken in before the limits on them are looked at."""
_LAST_WORDS_S = 2.0
OTHER_DESCRIPTORS = ACCEPTED_AT_ONCE + 128
"""Files, pipes to children, and connections that wait to be accepted or to end."""

log = structlog.get_logger(__name__)


def create_app(settings: Settings, service: Service | None = None) -> FastAPI:
    """The whole application. Raises BundleError when the bundle cannot be served."""
    service = service or Service.load(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    # No interactive docs of FastAPI's: they load scripts from elsewhere, which a hospital network does not reach.
    app = FastAPI(
        title="Echo2ECG",
        version=version("echo2ecg"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=lambda route: route.name,  # the names that generated clients give their functions
        redirect_slashes=False,  # a redirect would lead to whatever name the caller gave this host
    )
    app.state.service = service
    app.state.recent_refusals = service.recent_refusals
    app.state.info, app.state.description = Kept(), Kept()
    install_handlers(app)
    pages = (docs, page, session, admin_session, admin, answers, why, study_page, assets)
    for part in (ecg, index, studies, jobs, keys, refusals, health, info, *pages):
        app.include_router(part.router)
    if settings.ui_page:
        app.include_router(components.router)
    list(iter_route_contexts(app.routes))  # or FastAPI makes them while the first request waits
    add_frame(app, settings, service.metrics, service.recent_refusals)
    return app


def serve(settings: Settings) -> NoReturn:
    """Run until SIGTERM or interrupt, answer what was accepted, and end the process. Raises SettingsError or
    BundleError."""
    check_access(settings)
    check_address(settings)
    configure_logging(settings)
    for sentence in without_effect(os.environ):
        log.warning("variable_without_effect", message=sentence)
    _tame_malloc()
    sys.setswitchinterval(_TURN_S)
    app = create_app(settings)
    app.state.service.when_warm = _keep_for_good
    end = partial(_end_process, app.state.service)
    run(app, settings, end)
    end()


def _end_process(service: Service) -> NoReturn:
    """At once, with all that was said written out: children and temporary files are gone. The code is 1 when the
    service's parts did not start.

    The interpreter's own end runs the destructors of native libraries beneath threads that still compute in them, which
    aborts, and waits for every thread.
    """

    def last_words() -> None:
        service.abandon()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
                stream.flush()

    try:  # not here: a signal may have come beneath a lock that this needs, and who reads the log may have stopped
        last = threading.Thread(target=last_words, daemon=True)
        last.start()
        last.join(_LAST_WORDS_S)
    finally:
        os._exit(1 if service.failed_to_start else 0)


def _keep_for_good() -> None:
    """Models and libraries are 400,000 objects that stay. To look through them for garbage, as is done whenever a few
    long answers were made, would stop every thread for a quarter of a second."""
    gc.collect()
    gc.freeze()


def check_address(settings: Settings) -> None:
    """Raises SettingsError where nobody could listen: said at once, and not when the models have been loaded."""
    at = f"port {settings.port} of {settings.host}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"The service cannot listen on {at}: {error.strerror}.") from None
    tried = [_binding_fails(family, address) for family, _, _, _, address in found]
    failures = [failure for failure in tried if failure is not None]
    if any(failure.errno == errno.EADDRINUSE for failure in failures):
        raise SettingsError(f"Another program has {at}: end it, or choose another port with --port.")
    if len(failures) == len(found):  # a name may stand for an address of a kind that this machine has not
        raise SettingsError(f"The service cannot listen on {at}: {failures[0].strerror}.")


def _binding_fails(family: int, address: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # as the server will: IPv4 is another's business
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def run(app: FastAPI, settings: Settings, end: Callable[[], NoReturn] | None = None) -> int:
    """Serve `app` until it is told to end: the process's exit code. 1 when its parts did not start; the log says why.

    Nothing that was begun is left to be ended: children and temporary files are gone. end: ends the process, when all
    was answered that will be, or when a second signal comes, whatever runs then.
    """
    service: Service = app.state.service
    server = _DrainingServer(server_config(app, settings), service, end)
    try:
        server.run()
    except SystemExit:  # the address is taken or not ours; logged, and uvicorn's number for it would be 3
        service.failed_to_start = True
    service.abandon()  # also after an end in order: what read until now may have made itself a folder once more
    return 1 if service.failed_to_start else 0


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """uvicorn with our limits and without its own logs, which hold whole addresses."""
    recent: RecentRefusals = getattr(app.state, "recent_refusals", None) or RecentRefusals()

    def note_refusal(code: str) -> None:
        recent.note("other", "unmatched", code)  # what was refused never became a request

    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol.among(Connections(connection_limits(settings), note_refusal)),
        backlog=ACCEPTED_AT_ONCE,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing depends on a caller's scheme or address: nobody is believed about them
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s),  # uvicorn counts whole seconds,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """What the settings allow, and no more than the files that this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + OTHER_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    total = min(settings.max_connections, max(4, soft - OTHER_DESCRIPTORS))
    if total < settings.max_connections:
        log.warning("fewer_connections", wanted=settings.max_connections, taken=total, open_files=soft)
    return ConnectionLimits(
        header_timeout_s=settings.header_timeout_s,
        write_timeout_s=settings.write_timeout_s,
        total=total,
        per_address=settings.max_connections_per_address,
        exempt=settings.trusted_proxies,
    )


class _DrainingServer(uvicorn.Server):
    """The first signal drains, the second ends at once; either way the process exits with 0. A failed start ends it."""

    def __init__(self, config: uvicorn.Config, service: Service, end: Callable[[], NoReturn] | None) -> None:
        super().__init__(config)
        self._service = service
        self._end = end

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Until the process has ended, where that is ours: it takes some time yet when the last answer is given."""
        if self._end is None:
            with super().capture_signals():
                yield
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and self._end is not None:
            self._end()
        self._service.draining = True
        self.force_exit = self.should_exit
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super().serve(sockets)
        if self._end is None:
            return
        until = time.monotonic() + _LAST_WORDS_S  # those who were given up are told
        while (self.server_state.tasks or self.server_state.connections) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        self._end()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._service.failed_to_start


def _tame_malloc(arenas: int = 2, own_block_bytes: int = 2**20) -> None:
    """glibc gives every thread an arena of its own and keeps what is freed there; a few threads need only a few.

    Large blocks get pages of their own, and give them back: by itself glibc learns from the first large upload to take
    them from the heap, where uploads that grow side by side leave holes.
    """
    m_arena_max, m_mmap_threshold = -8, -3
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(m_arena_max, arenas)
        libc.mallopt(m_mmap_threshold, own_block_bytes)
    except (OSError, AttributeError):  # not glibc
        return
