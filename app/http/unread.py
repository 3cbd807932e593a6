"""Whether a caller reads what was written to it."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

WRITE_BUFFER_BYTES = 16 * 2**10
"""Above it an answer waits for its reader. The kernel keeps KERNEL_BUFFER_BYTES more."""
KERNEL_BUFFER_BYTES = 128 * 2**10
_TIMES = 4
"""So many times the pace is looked at together: a caller's kernel takes in steps, which may be larger than what must be
read in `while_s`."""


def unread_bytes(transport: asyncio.Transport) -> int:
    """Of what was written to a connection: what waits here, and what the caller's side has not taken from the kernel.

    By the first alone a slow reader seems to stand still, as the kernel takes more only when much of its own has gone.
    """
    waiting = transport.get_write_buffer_size()
    own = transport.get_extra_info("socket")
    if own is None:
        return waiting
    try:
        (in_kernel,) = struct.unpack("i", fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):  # closed
        return waiting
    return waiting + int(in_kernel)


class MustRead:
    """While it watches, a connection ends whose caller reads less than WRITE_BUFFER_BYTES in `while_s`, in the mean."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, while_s: float) -> None:
        self._transport, self._loop, self._look_after_s = transport, loop, _TIMES * while_s
        self._timer: asyncio.TimerHandle | None = None

    @property
    def watches(self) -> bool:
        return self._timer is not None

    def watch(self) -> None:
        """From now on, and until all is read."""
        self.stop()
        self._timer = self._loop.call_later(self._look_after_s, self._look, unread_bytes(self._transport))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, unread_before: int) -> None:
        self._timer = None
        unread = unread_bytes(self._transport)
        if unread > max(0, unread_before - _TIMES * WRITE_BUFFER_BYTES):
            self._transport.abort()
        elif unread:
            self.watch()
