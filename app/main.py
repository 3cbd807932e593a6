"""Put the service together and run it."""

from __future__ import annotations

import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from app.access.keys import check_bind
from app.http.connections import HeaderTimeoutProtocol
from app.http.frame import add_frame
from app.http.problems import install_handlers
from app.logs import configure_logging
from app.routes import (
    ecg,
    health,
    index,
    info,
)
from app.service import Service
from app.settings import Settings
from app.web import docs, page

STATIC = Path(__file__).parent / "web" / "static"


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
    )
    app.state.service = service
    install_handlers(app)
    for part in (ecg, index, health, info, docs, page):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_frame(app, settings, service.metrics)
    return app


def serve(settings: Settings) -> None:
    """Run until SIGTERM or interrupt, then answer what was accepted. Raises SettingsError or BundleError."""
    check_bind(settings)
    configure_logging(settings)
    _limit_malloc_arenas()
    run(create_app(settings), settings)


def run(app: FastAPI, settings: Settings) -> None:
    """Serve `app` until it is told to end. SystemExit with 1 when its parts did not start; the log says why."""
    service: Service = app.state.service
    _DrainingServer(server_config(app, settings), service).run()
    if service.failed_to_start:
        raise SystemExit(1)


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """uvicorn with our limits and without its own logs, which hold whole addresses."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=HeaderTimeoutProtocol.with_timeout(settings.header_timeout_s),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing depends on a caller's scheme or address: nobody is believed about them
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(settings.drain_timeout_s),
    )


class _DrainingServer(uvicorn.Server):
    """The first signal drains, the second ends at once; either way the process exits with 0. A failed start ends it."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.draining = True
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._service.failed_to_start


def _limit_malloc_arenas(arenas: int = 2) -> None:
    """glibc gives every thread an arena of its own and keeps what is freed there; a few threads need only a few."""
    m_arena_max = -8
    try:
        ctypes.CDLL("libc.so.6").mallopt(m_arena_max, arenas)
    except (OSError, AttributeError):  # not glibc
        return
