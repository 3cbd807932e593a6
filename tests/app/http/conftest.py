"""A small application behind the real frame, and connections to it."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from app.http.frame import add_frame
from app.http.problems import install_handlers
from app.metrics import Metrics
from app.settings import Settings

LARGE = b"x" * 4_000_000


@pytest.fixture
def start(serve_app):
    """`with start(**settings) as connect:` gives connections to a small application; `connect.url` is its address."""

    @contextmanager
    def start(**changes):
        settings = Settings(bundle_dir="b", index_dir="i", **changes)
        app = FastAPI()

        @app.get("/small")
        async def small():
            return {"small": True}

        @app.get("/large")
        async def large():
            return Response(LARGE)

        @app.get("/long")
        async def long():
            return Response(LARGE[:600_000])

        @app.get("/slow")
        async def slow():
            await asyncio.sleep(1.0)
            return {"slow": True}

        @app.post("/slow-body")
        async def slow_body(request: Request):
            await asyncio.sleep(0.4)
            return len(await request.body())

        numbers = itertools.count(1)

        @app.get("/counted")
        async def counted():
            return next(numbers)

        @app.post("/seen")
        async def seen(request: Request):
            return sorted(request.headers)

        @app.get("/unanswered")
        async def unanswered():
            raise ClientDisconnect  # for a caller who has not left

        @app.get("/cookies")
        async def cookies(request: Request):
            return request.headers.getlist("cookie")

        @app.get("/connection")
        async def connection(request: Request):
            return request.headers.getlist("connection")

        @app.post("/let-in")
        async def let_in(request: Request):
            request.state.let_in()
            return len(await request.body())

        @app.post("/body")
        async def body(request: Request):
            return len(await request.body())

        install_handlers(app)
        add_frame(app, settings, Metrics())
        with serve_app(app, settings) as url, ExitStack() as opened:
            address = httpx.URL(url)

            def connect(timeout_s=10.0, source="127.0.0.1", **options):
                connection = opened.enter_context(socket.socket())
                for name, value in options.items():
                    connection.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
                connection.settimeout(timeout_s)
                connection.bind((source, 0))
                connection.connect((address.host, address.port))
                time.sleep(0.05)  # a newcomer is taken in a little later than what others send meanwhile
                return connection

            connect.url = url
            yield connect

    return start
