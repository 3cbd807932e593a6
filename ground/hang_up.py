"""Children that end with whoever started them, however that one ended."""

from __future__ import annotations

import os
import select
import threading


def end_when_hung_up(pipe: int) -> None:
    """End this process at once, with 1, when nobody holds the other end of a pipe any more. What is no pipe never ends.

    In the middle of anything: for work that leaves nothing half-written when it is killed.
    """
    hung_up = select.poll()
    hung_up.register(pipe, 0)  # not for what is sent: for hanging up alone

    def watch() -> None:
        hung_up.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
