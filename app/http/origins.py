"""Who is connected: so many connections in all and from one address, and whose is closed where there are too many."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

Network = IPv4Network | IPv6Network


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
    held_bytes: int = 40 * 2**20
    """Of all headers of requests in work, and of their bodies where nobody has let them in."""


class Use(Enum):
    """What a connection is good for at the moment."""

    NONE = auto()
    """Between requests, or its caller does not read: the first to be closed."""
    SENDING = auto()
    """A body arrives that nobody has let in."""
    SENDING_LET_IN = auto()
    """A body arrives that the service has made room for."""
    BEING_ANSWERED = auto()
    """Never closed for a newcomer: how many these can be is bounded further in."""


_CLOSED_FIRST = (Use.NONE, Use.SENDING, Use.SENDING_LET_IN)


class Connection(Protocol):
    """What is known of a connection here."""

    origin: Network | None
    transport: asyncio.Transport

    @property
    def use(self) -> Use: ...

    def give_up(self) -> None:
        """End, and let go at once of what lies here of its requests."""


class Connections:
    """All open connections of a server, by address. Used on the event loop alone."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        # Of each address, in the order of their last request: the first has been idle longest.
        self._of_origin: defaultdict[Network | None, dict[Connection, None]] = defaultdict(dict)
        self._count = 0
        self._unread: dict[Connection, None] = {}
        """Those whose answer lies ready, the longest first."""
        self._held: dict[Connection, int] = {}
        self._held_bytes = 0
        """What of each one's requests lies with us, and the sum."""

    def __len__(self) -> int:
        return self._count

    def admit(self, newcomer: Connection) -> bool:
        """Take a connection in, closing another one where there are too many. False: nobody could be closed for it."""
        neighbours = self._of_origin.get(newcomer.origin, {})
        full = len(neighbours) >= self.limits.per_address and not self._is_exempt(newcomer.origin)
        if full and not any(self._close_longest(use, neighbours) for use in _CLOSED_FIRST):
            return False
        if self._count >= self.limits.total:
            # Among those of the address that holds most: who floods closes its own first. But nobody's upload is cut
            # off while anybody's connection is idle.
            heaviest = max(self._of_origin.values(), key=len)
            by_weight = (heaviest, *self._of_origin.values())
            if not any(self._close_longest(use, some) for use in _CLOSED_FIRST for some in by_weight):
                return False
        self._of_origin[newcomer.origin][newcomer] = None
        self._count += 1
        return True

    def note_use(self, one: Connection) -> None:
        """A request of this connection has begun or has been answered."""
        of_origin = self._of_origin.get(one.origin)
        if of_origin is not None and one in of_origin:
            del of_origin[one]
            of_origin[one] = None

    def forget(self, one: Connection) -> None:
        """A connection has ended, or is about to."""
        self.note_read(one)
        self._held_bytes -= self._held.pop(one, 0)
        of_origin = self._of_origin.get(one.origin)
        if of_origin is None or one not in of_origin:
            return
        del of_origin[one]
        self._count -= 1
        if not of_origin:
            del self._of_origin[one.origin]

    def note_unread(self, one: Connection) -> None:
        """An answer lies ready that nobody reads yet. Where too much lies so in all, what lies longest is given up:
        of the address for which most lies ready."""
        self._unread[one] = None
        while len(self._unread) > 1:
            lying: Counter[Network | None] = Counter()
            for waiting in self._unread:
                lying[waiting.origin] += waiting.transport.get_write_buffer_size()
            if lying.total() <= self.limits.unread_bytes:
                return
            ((heaviest, _),) = lying.most_common(1)
            longest = next(waiting for waiting in self._unread if waiting.origin == heaviest)
            self.forget(longest)
            longest.transport.abort()

    def note_read(self, one: Connection) -> None:
        """What lay ready has been read, but for a little."""
        self._unread.pop(one, None)

    def note_held(self, one: Connection, held_bytes: int) -> None:
        """So much of this connection's requests lies with us. Where too much lies so in all, the one with most is
        given up: of the address for which most lies."""
        if one not in self._of_origin.get(one.origin, {}):
            return
        self._held_bytes += held_bytes - self._held.get(one, 0)
        if held_bytes:
            self._held[one] = held_bytes
        else:
            self._held.pop(one, None)
        while self._held_bytes > self.limits.held_bytes and len(self._held) > 1:
            lying: Counter[Network | None] = Counter()
            for holder, bytes_ in self._held.items():
                lying[holder.origin] += bytes_
            ((heaviest, _),) = lying.most_common(1)
            of_heaviest = (holder for holder in self._held if holder.origin == heaviest)
            largest = max(of_heaviest, key=self._held.__getitem__)
            self.forget(largest)
            largest.give_up()

    def _close_longest(self, use: Use, connections: Iterable[Connection]) -> bool:
        """Close the connection that has been in this use longest. False: there is none."""
        for one in connections:
            if one.use is use:
                self.forget(one)
                one.transport.abort()
                return True
        return False

    def _is_exempt(self, origin: Network | None) -> bool:
        """A Unix socket has no address; what is exempt may be named more widely or, for IPv6, more closely."""
        if origin is None:
            return True
        return any(origin.version == one.version and origin.overlaps(one) for one in self.limits.exempt)


def origin_of(address: str) -> Network | None:
    """Whom an address stands for: itself, or for IPv6 the /64 that one subscriber has. None where it is none."""
    try:
        host = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    host = getattr(host, "ipv4_mapped", None) or host
    return ip_network((host, 32 if host.version == 4 else 64), strict=False)
