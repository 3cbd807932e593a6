"""Limits that uvicorn lacks: what a connection may hold and for how long, and how many there may be.

    header       64 KiB, 100 lines, an address of 4 KiB,  `header_timeout_s`       then 431, 414 or the end
                 with 64 parameters
    body         in pieces of some size, and not behind a request in work          then 400, or the end
    pipelining   4 requests behind the one being answered                          then these are answered, no more
    answer       16 KiB of what lies ready are read in `write_timeout_s`, looked   then the end
                 at every fourth time
                 32 MiB lie ready in all                                           then the longest unread ends
    in work      32 MiB of headers and of bodies that nobody let in, in all        then the largest ends
    connections  so many in all and from one address                               then the longest idle one is closed

A caller who asks for nothing, or does not read what it asked for, therefore never keeps anybody else out.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from functools import partial
from typing import cast

import httptools
import structlog
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.http.heads import MAX_HEADER_BYTES, Head, complaint_of_address, own_cookie
from app.http.origins import ConnectionLimits, Connections, Use, origin_of
from app.http.problems import RefusedHeader
from app.http.unread import KERNEL_BUFFER_BYTES, WRITE_BUFFER_BYTES, MustRead, unread_bytes
from app.http.written import UntilRead, answer_in_bytes

log = structlog.get_logger(__name__)

PARSED_AT_ONCE = 16 * 2**10
MAX_PIPELINED = 4
PIECES_ALLOWED = 1000
LEAST_PIECE_BYTES = 512
"""After so many pieces of a body, such as chunks, they must be of this size on average: each costs us time."""
_OFFER = (b"connection", b"upgrade", b"http2-settings")
LINGER_S = 2.0
MAX_DROPPED_BYTES = 2**20
"""How long a refused caller may go on sending, and how much, so that the refusal reaches it before the end does."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection within the limits above.

    A caller that goes on sending a body which was refused is not cut off at once, see `end_unread`; one that wanted to
    go on with the connection is ended by the header's time limit.
    """

    everyone = Connections(ConnectionLimits())

    @classmethod
    def among(cls, everyone: Connections) -> type[BoundedProtocol]:
        """The class for one server: uvicorn makes the instances."""
        return type(cls.__name__, (cls,), {"everyone": everyone})

    @property
    def use(self) -> Use:
        if self._linger_timer or self.flow.write_paused or self.is_idle:
            return Use.NONE
        if not self.cycle.more_body:
            return Use.BEING_ANSWERED
        return Use.SENDING_LET_IN if self._is_let_in() else Use.SENDING

    @property
    def is_idle(self) -> bool:
        return bool(self.cycle is None or self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_timer: asyncio.TimerHandle | None = None
        self._must_read = MustRead(transport, self.loop, self.everyone.limits.write_timeout_s)
        self._linger_timer: asyncio.TimerHandle | None = None
        self._unfinished_bytes = self._dropped_bytes = self._pieces = self._body_bytes = 0
        self._head = Head(is_coming=False)
        self._upgrading = False
        self._answering = self._admitted = cast(RequestResponseCycle | None, None)
        self.just_arrived = False
        self._heads_held: dict[RequestResponseCycle | None, int] = {}
        """What the heads of requests in work or waiting cost, in bytes."""
        self._refusal: RefusedHeader | None = None
        self.is_deaf = self.said_end = self._lost = self._was_unread = False
        self.origin = origin_of(self.client[0] if self.client else "")
        if not self.everyone.admit(self):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        if (own := transport.get_extra_info("socket")) is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self.everyone.forget(self)
        self._lost = True
        self._stop_header_timer()
        self._must_read.stop()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self._unset_keepalive_if_required()  # which uvicorn leaves running where the caller broke the connection off
        super().connection_lost(exc)
        # uvicorn tells only the last of several requests.
        for cycle in filter(None, (self._answering, *(cycle for cycle, _ in self.pipeline))):
            cycle.disconnected = not cycle.response_complete
            cycle.body = bytearray()
            cycle.message_event.set()
            cycle.transport = self.transport  # else connection and request would hold each other
        self._forget_waiting()
        self.scope, self.headers, self.url = cast(HTTPScope, {}), [], b""
        self._answering = self._admitted = None

    def _let_in(self, cycle: RequestResponseCycle) -> None:
        """The service made room for the body of this request: see `app.http.uploads.admit`."""
        self._admitted = cycle
        self.everyone.note_progress(self)
        self._note_held()

    def _is_let_in(self) -> bool:
        return not self.is_idle and self.cycle is self._admitted

    def _note_held(self) -> None:
        bodies = sum(len(cycle.body) for cycle in self._in_work() if cycle is not self._admitted)
        held = self._unfinished_bytes + bodies + sum(self._heads_held.values())
        self.everyone.note_held(self, 0 if self._is_let_in() else held)

    def _in_work(self) -> set[RequestResponseCycle]:
        return set(filter(None, (self.cycle, self._answering)))  # those between have no body

    def _look_again(self) -> None:
        """Its first turn done, a request was let in or was not, and what came of its body was taken or was not."""
        self.just_arrived = False
        self._note_held()

    def data_received(self, data: bytes) -> None:
        if self.is_deaf:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > MAX_DROPPED_BYTES:
                self.flow.pause_reading()
            return
        if self._header_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_header_timer()
        self._unset_keepalive_if_required()
        for place in range(0, len(data), PARSED_AT_ONCE):
            if not self._take(data[place : place + PARSED_AT_ONCE]):
                break
        if self._head.is_coming and self._header_timer is None:  # behind a request that is being answered
            self._start_header_timer()
        self._note_held()

    def _take(self, piece: bytes) -> bool:
        """A piece so small that, where a header begins in it, all of it may be taken for that header's.

        False: nothing more is taken from this caller.
        """
        self._unfinished_bytes += len(piece)
        self._parse(piece)
        if self._head.is_coming and self._unfinished_bytes == 0:
            self._unfinished_bytes = len(piece)
        if self._unfinished_bytes > MAX_HEADER_BYTES and not self.is_deaf:
            self._refuse(RefusedHeader("header_too_large", 431, "The request's header is too large."))
        return not self.is_deaf

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._go_on_without_upgrade(data[stopped.args[0] :])
        except httptools.HttpParserError:
            if not self.is_deaf:
                self._refuse(self._refusal or RefusedHeader("bad_request", 400, "This is no HTTP request."))

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Some clients offer another protocol with every request. Nobody need accept; the parser thinks we do.

        It takes what follows for that protocol, so that the body would be lost, or run as a request of its own: it is
        given the request again without the offer.
        """
        version = self.parser.get_http_version().encode()
        goes_on = b"keep-alive" if self.parser.should_keep_alive() else b"close"
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version), b"connection: " + goes_on]
        # What else the line `connection` says is not taken apart: it may be 60,000 words.
        lines += [b"%s: %s" % (name, value) for name, value in self.headers if name not in _OFFER and value]
        self._upgrading = False
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn's own: what follows a request that ends the connection must not cost its answer.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parse(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def on_message_begin(self) -> None:
        self._pieces = self._body_bytes = 0
        self._head = Head()
        self._unset_keepalive_if_required()  # the request before may have ended in the same piece
        self._was_unread = False
        if not self.flow.write_paused:
            self._must_read.stop()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if (refusal := complaint_of_address(self.url)) is not None:
            self._complain(refusal)

    def on_header(self, name: bytes, value: bytes) -> None:
        if (refusal := self._head.complaint_of_line(name.lower(), value)) is not None:
            self._complain(refusal)
        if not self._head.is_coming:
            return
        if name.lower() == b"cookie":
            if (own := own_cookie(value)) is None:
                return
            value = own
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_header_timer()
        self._unfinished_bytes, self._head.is_coming = 0, False
        if self.parser.get_method() == b"CONNECT":
            self._complain(RefusedHeader("bad_request", 400, "This is no proxy."))
        if self.parser.should_upgrade():
            self._upgrading = True  # `_go_on_without_upgrade` follows
            return
        behind_another = self.cycle is not None and not self.cycle.response_complete
        too_many = self._head.has_body or len(self.pipeline) >= MAX_PIPELINED
        if behind_another and (too_many or not self.cycle.keep_alive):
            self.cycle.keep_alive = False  # the last that is answered: a body would be kept until its turn
            self.is_deaf, self.headers = True, []
            raise _NoMore
        super().on_headers_complete()
        self.flow.resume_reading()  # uvicorn pauses behind another request: nobody would hear of a caller who leaves
        self.everyone.note_use(self)
        self._heads_held[self.cycle] = self._head.cost_bytes(self.url)
        self.cycle.scope["state"]["let_in"] = partial(self._let_in, self.cycle)
        self.just_arrived = True
        self.loop.call_soon(self._look_again)  # behind the first turn of the request's task

    def on_body(self, body: bytes) -> None:
        self._unfinished_bytes = 0
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > PIECES_ALLOWED and self._body_bytes < LEAST_PIECE_BYTES * self._pieces:
            if self.cycle.response_complete:  # it is dropped, but even that takes its time
                self.end_unread()
                raise _NoMore
            self._complain(RefusedHeader("body_in_crumbs", 400, "The body comes in pieces that are too small."))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_header_timer()
        self._unfinished_bytes = 0
        if self._upgrading:
            return
        super().on_message_complete()
        self.everyone.note_progress(self)
        if self.cycle.response_complete:  # the body was refused and has come all the same: back to waiting
            self._start_keep_alive()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        cycle.transport = cast(asyncio.Transport, UntilRead(self, cycle))

        async def when_read(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            await self.flow.drain()  # else this answer would lie, counted by nobody, behind one that is not read
            try:
                if not cycle.disconnected:
                    await app(scope, receive, send)
            finally:
                if not (cycle.response_complete or cycle.disconnected):  # nothing would ever end it
                    cycle.disconnected = True
                    self.transport.abort()
                self._forget(cycle)

        super()._start_asgi_task(cycle, when_read)

    def _forget_waiting(self) -> None:
        """Requests that nobody began to work on, so that nothing else parts them from this connection."""
        for cycle, _ in self.pipeline:
            cycle.disconnected, cycle.scope, cycle.on_response = True, cast(HTTPScope, {}), _nothing
        self.pipeline.clear()
        self._heads_held.clear()

    def _forget(self, cycle: RequestResponseCycle) -> None:
        """An idle connection must not keep its last request."""
        cycle.scope = cast(HTTPScope, {})
        if self.cycle is cycle and not self._head.is_coming:
            self.scope, self.headers, self.url = cast(HTTPScope, {}), [], b""

    def on_response_complete(self) -> None:
        self.everyone.note_use(self)
        if self.cycle.response_complete:
            self.cycle.body = bytearray()  # what was refused unread
        self._heads_held.pop(self._answering, None)
        self._note_held()
        if (task := asyncio.current_task()) is not None and task.cancelling():  # the server waits no longer
            self._forget_waiting()
            if not self.is_deaf:
                self.transport.close()
        super().on_response_complete()
        if self.transport.is_closing():
            self._end_unless_read()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.everyone.note_unread(self)
        self._end_unless_read()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.everyone.note_read(self)
        if not self.transport.is_closing():
            self._must_read.stop()

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():  # else an answer is still due
            self._end_unless_read()

    def end_unread(self) -> None:
        """Say that nothing more will come, and go on taking for a while what is still sent: closed at once, the network
        stack would drop the answer. Nothing lengthens that while; what lies ready goes to whoever reads it fast."""
        self.is_deaf = self.said_end = True
        self._forget_waiting()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._linger_timer is None:
            self._linger_timer = self.loop.call_later(LINGER_S, self._close)

    def give_up(self) -> None:
        self.is_deaf = True
        self._let_go()
        self.transport.abort()
        log.info("connection_given_up")

    def _let_go(self) -> None:
        """Of what lies here of requests: whoever works on one may go on holding it for long."""
        self._forget_waiting()
        for cycle in self._in_work():
            cycle.body = bytearray()
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.parser, self.headers = httptools.HttpRequestParser(self), []
        self._head = Head(is_coming=False)

    def timeout_keep_alive_handler(self) -> None:
        """Who reads an answer for long may ask again as long after it as anybody."""
        was_unread, self._was_unread = self._was_unread, unread_bytes(self.transport) > 0
        if not (was_unread or self._was_unread):
            self._close()
            return
        if not self._must_read.watches:
            self._must_read.watch()
        self._start_keep_alive()

    def _start_keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _complain(self, refusal: RefusedHeader) -> None:
        """Called by the parser: leaves it at once, and `_refuse` follows."""
        self._refusal = refusal
        raise _NoMore

    def _refuse(self, refusal: RefusedHeader) -> None:
        """Answer and end; where another answer is due, that one is given instead."""
        self.is_deaf = True
        self._stop_header_timer()
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and not self.cycle.more_body:
            self.cycle.keep_alive = False  # the fault lies behind a whole request, whose answer is still due
            return
        if answering and (self.pipeline or self.cycle.response_started):
            self._close()
            return
        if answering:
            self.cycle.disconnected = True  # nothing more of its body comes
            self.cycle.message_event.set()
        request_id = secrets.token_hex(8)
        log.info("request_refused", request_id=request_id, code=refusal.code)
        self.everyone.note_refusal(refusal.code)
        self.transport.write(answer_in_bytes(refusal, request_id))
        self._let_go()
        self.end_unread()

    def _close(self) -> None:
        """Close, and not wait for ever for a caller to read what lies ready."""
        self.transport.close()
        self._end_unless_read()

    def _end_unless_read(self) -> None:
        """From now on the caller must read, see MustRead."""
        if not self._lost:  # an answer may be complete when nobody is there any more: a timer would keep its body
            self._must_read.watch()

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(self.everyone.limits.header_timeout_s, self._header_is_late)

    def _header_is_late(self) -> None:
        """Close, but for an answer that is still due."""
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.cycle.keep_alive = False
            self.is_deaf = True
        else:
            self._close()

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


def _nothing() -> None: ...


class _NoMore(Exception):
    """Out of the parser: what follows is not read."""
