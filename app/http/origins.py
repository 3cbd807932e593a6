"""Who is connected: so many connections in all and from one address, and whose is closed where there are too many."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from heapq import heapify, heappop, heappush
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

Network = IPv4Network | IPv6Network
Origin = str | None
"""A network as text, which is counted by much faster than the network itself. See `origin_of`."""


@dataclass(frozen=True)
class ConnectionLimits:
    """`total` and `per_address` connections; callers from `exempt` networks (proxies) count only for the total."""

    header_timeout_s: float = 10.0
    write_timeout_s: float = 20.0
    total: int = 1024
    per_address: int = 256
    exempt: tuple[Network, ...] = ()
    unread_bytes: int = 32 * 2**20
    """Of all answers that lie ready and are not read."""
    held_bytes: int = 32 * 2**20
    """Of all headers of requests in work, and of their bodies where nobody has let them in; as much again of what has
    just arrived."""


class Use(Enum):
    """What a connection is good for at the moment."""

    NONE = auto()
    """Between requests, or its caller does not read: the first to be closed."""
    SENDING = auto()
    """A body arrives that nobody has let in."""
    SENDING_LET_IN = auto()
    """A body arrives that the service has made room for."""
    BEING_ANSWERED = auto()
    """Never closed for a newcomer: how many of them take long is bounded further in."""


SPARE_PLACES, SPARE_PER_ADDRESS = 16, 2
"""Beyond `total`, while all are being answered: for who holds fewer than so many, such as a health check."""
_CLOSED_FIRST = (Use.NONE, Use.SENDING, Use.SENDING_LET_IN)


class Connection(Protocol):
    """What is known of a connection here."""

    origin: Origin
    transport: asyncio.Transport
    just_arrived: bool
    """Whether its request came in this turn of the event loop: who asks has not been looked at yet."""

    @property
    def use(self) -> Use: ...

    @property
    def is_idle(self) -> bool:
        """Whether no request is in work; then its use is NONE."""

    def give_up(self) -> None:
        """End, and let go at once of what lies here of its requests."""


class _Held:
    """What of each connection's requests lies with us, in bytes, and whom to give up where it is too much."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._of_origin: defaultdict[Origin, dict[Connection, int]] = defaultdict(dict)
        self._lying: Counter[Origin] = Counter()
        """Of each address together, so that nobody need look through all connections for the heaviest."""
        self._sum = 0

    def note(self, one: Connection, held_bytes: int) -> None:
        of_origin = self._of_origin[one.origin]
        change = held_bytes - of_origin.pop(one, 0)
        self._sum += change
        self._lying[one.origin] += change
        if held_bytes:
            of_origin[one] = held_bytes
        elif not of_origin:
            del self._of_origin[one.origin], self._lying[one.origin]

    def too_much(self) -> list[Connection]:
        """Those to be given up: of the address for which most lies the largest, and of one that goes as many as make
        an eighth of room; those who wait for an answer only where nobody else is left."""
        left, enough = self._sum, self._most_bytes - self._most_bytes // 8
        if left <= self._most_bytes:
            return []
        victims: list[Connection] = []
        before: Origin = None
        lying = dict(self._lying)
        for uses in ((Use.NONE, Use.SENDING), (Use.BEING_ANSWERED,)):
            heaviest = [(-held, number, origin) for number, (origin, held) in enumerate(lying.items())]
            heapify(heaviest)
            while heaviest and left > enough:
                _, number, origin = heappop(heaviest)
                if left <= self._most_bytes and (not victims or origin != before):
                    return victims
                next_bytes = -heaviest[0][0] if heaviest else 0
                some = self._of_origin[origin].items()
                largest = sorted((held, -place, one) for place, (one, held) in enumerate(some) if one.use in uses)
                while largest and left > enough and lying[origin] >= next_bytes:
                    held, _, one = largest.pop()  # of alike ones the longest
                    if one not in victims:
                        victims.append(one)
                        left, before = left - held, origin
                        lying[origin] -= held
                if largest:
                    heappush(heaviest, (-lying[origin], number, origin))
        return victims


class Connections:
    """All open connections of a server, by address. Used on the event loop alone."""

    def __init__(self, limits: ConnectionLimits, note_refusal: Callable[[str], None] = lambda _: None) -> None:
        self.limits = limits
        self.note_refusal = note_refusal
        """Told the code of every head that is refused before it is a request."""
        # Of each address, in the order of their last request: the first has been idle longest.
        self._of_origin: defaultdict[Origin, dict[Connection, None]] = defaultdict(dict)
        self._idle: dict[Origin, dict[Connection, None]] = {}
        """Those of them without a request in work, so that a newcomer costs no look through all the others."""
        self._sending: dict[Origin, dict[Connection, None]] = {}
        """Those whose body arrives and was not let in, likewise."""
        self._count = 0
        self._unread: dict[Connection, None] = {}
        """Those whose answer lies ready, the longest first."""
        self._lying, self._arriving = _Held(limits.held_bytes), _Held(limits.held_bytes)

    def __len__(self) -> int:
        return self._count

    def admit(self, newcomer: Connection) -> bool:
        """Take a connection in, closing another one where there are too many. False: nobody could be closed for it."""
        neighbours = self._of_origin.get(newcomer.origin, {})
        full = len(neighbours) >= self.limits.per_address and not self._is_exempt(newcomer.origin)
        if full and not self._close_longest((newcomer.origin,)):
            return False
        if self._count >= self.limits.total:
            # Among those of the address that holds most: who floods closes its own first. But nobody's upload is cut
            # off while anybody's connection is idle.
            heaviest = max(self._of_origin, key=lambda origin: len(self._of_origin[origin]))
            closed = self._close_longest((heaviest, *self._of_origin))
            if not closed and (self._count >= self.limits.total + SPARE_PLACES or len(neighbours) >= SPARE_PER_ADDRESS):
                return False
        self._of_origin[newcomer.origin][newcomer] = None
        self._idle.setdefault(newcomer.origin, {})[newcomer] = None
        self._count += 1
        return True

    def note_use(self, one: Connection) -> None:
        """A request of this connection has begun or has been answered."""
        of_origin = self._of_origin.get(one.origin)
        if of_origin is None or one not in of_origin:
            return
        del of_origin[one]
        of_origin[one] = None
        self._sort(one)

    def note_progress(self, one: Connection) -> None:
        """The body of this connection's request has been let in, or is whole."""
        if one in self._of_origin.get(one.origin, {}):
            self._sort(one)

    def forget(self, one: Connection) -> None:
        """A connection has ended, or is about to."""
        self.note_read(one)
        self._lying.note(one, 0)
        self._arriving.note(one, 0)
        of_origin = self._of_origin.get(one.origin)
        if of_origin is None or one not in of_origin:
            return
        del of_origin[one]
        self._count -= 1
        self._take_out(one)
        if not of_origin:
            del self._of_origin[one.origin]

    def note_unread(self, one: Connection) -> None:
        """An answer lies ready that nobody reads yet. Where too much lies so in all, what lies longest is given up:
        of the address for which most lies ready."""
        self._unread[one] = None
        while len(self._unread) > 1:
            lying: Counter[Origin] = Counter()
            for waiting in self._unread:
                lying[waiting.origin] += waiting.transport.get_write_buffer_size()
            if lying.total() <= self.limits.unread_bytes:
                return
            ((heaviest, _),) = lying.most_common(1)
            longest = next(waiting for waiting in self._unread if waiting.origin == heaviest)
            self._close(longest)

    def note_read(self, one: Connection) -> None:
        """What lay ready has been read, but for a little."""
        self._unread.pop(one, None)
        self.note_progress(one)

    def note_held(self, one: Connection, held_bytes: int) -> None:
        """So much of this connection's requests lies with us; nothing of those that were let in.

        Where too much lies so in all, room is made. What has just arrived is weighed by itself: in a moment it may be
        let in, and must not go before what strangers have left lying here.
        """
        if one not in self._of_origin.get(one.origin, {}):
            return
        self._arriving.note(one, held_bytes if one.just_arrived else 0)
        self._lying.note(one, 0 if one.just_arrived else held_bytes)
        for held in (self._lying, self._arriving):
            for victim in held.too_much():
                self.forget(victim)
                victim.give_up()

    def _close_longest(self, origins: Sequence[Origin]) -> bool:
        """Close what is missed least of these addresses, of alike ones the longest of the first address that has one.

        False: there is none.
        """
        some = next((self._idle[origin] for origin in origins if origin in self._idle), None)
        if some is None and (self._sending or self._unread):
            unread = self._unread_by_origin()
            each = (self._sending.get(origin) or unread.get(origin) for origin in origins)
            some = next(filter(None, each), None)
        if some is not None:
            self._close(next(iter(some)))
            return True
        first: dict[Use, Connection] = {}
        for origin in origins:
            for one in self._of_origin.get(origin, {}):
                first.setdefault(one.use, one)
            if Use.NONE in first:
                break
        for use in _CLOSED_FIRST:
            if use in first:
                self._close(first[use])
                return True
        return False

    def _close(self, one: Connection) -> None:
        self.forget(one)
        one.transport.abort()

    def _unread_by_origin(self) -> dict[Origin, dict[Connection, None]]:
        """Who does not read an answer, the longest of each address."""
        found: dict[Origin, dict[Connection, None]] = {}
        for one in self._unread:
            found.setdefault(one.origin, {one: None})
        return found

    def _sort(self, one: Connection) -> None:
        self._take_out(one)
        if one.is_idle:
            self._idle.setdefault(one.origin, {})[one] = None
        elif one.use is Use.SENDING:
            self._sending.setdefault(one.origin, {})[one] = None

    def _take_out(self, one: Connection) -> None:
        for sorted_out in (self._idle, self._sending):
            some = sorted_out.get(one.origin)
            if some is not None:
                some.pop(one, None)
                if not some:
                    del sorted_out[one.origin]

    def _is_exempt(self, origin: Origin) -> bool:
        """A Unix socket has no address; what is exempt may be named more widely or, for IPv6, more closely."""
        if origin is None:
            return True
        network = ip_network(origin)
        return any(network.version == one.version and network.overlaps(one) for one in self.limits.exempt)


def origin_of(address: str) -> Origin:
    """Whom an address stands for: itself, or for IPv6 the /64 that one subscriber has. None where it is none."""
    try:
        host = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    host = getattr(host, "ipv4_mapped", None) or host
    return str(ip_network((host, 32 if host.version == 4 else 64), strict=False))
