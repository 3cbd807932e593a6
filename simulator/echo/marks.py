"""What a machine draws outside the sector: a depth scale, and an ECG line that runs with the clip."""

from __future__ import annotations

import cv2
import numpy as np

from simulator.echo.cycle import Cycle
from simulator.echo.machine import EchoMachine, Picture, Sector
from simulator.echo.ventricle import Floats

_GREEN = (90, 220, 110)
_TICK_GREY = 170


class Marks:
    """Of one clip, for each of its frames; both lie where preparation for an encoder cuts the picture off."""

    def __init__(self, machine: EchoMachine, sector: Sector, cycle: Cycle) -> None:
        height, width = machine.frame_height, machine.frame_width
        scale = np.zeros((height, width), np.uint8)
        x = width - 6
        for cm in range(int(np.ceil(sector.near_cm)), int(sector.depth_cm) + 1):
            y = round(sector.apex_px[1] + cm * sector.px_per_cm)
            cv2.line(scale, (x - (4 if cm % 5 == 0 else 1), y), (x, y), 255, 1)
        self._scale_yx = np.nonzero(scale)
        self._start_s, self._end_s = float(cycle.time_s_T[0]), float(cycle.time_s_T[-1])
        self._left, self._right = int(0.08 * width), int(0.88 * width)
        trace = np.zeros((width, height), np.uint8)
        if machine.ecg_trace:
            time_s = np.linspace(self._start_s, self._end_s, 400)
            columns = np.linspace(self._left, self._right, 400)
            rows = (0.965 - 0.05 * _trace(time_s, cycle)) * height
            cv2.polylines(trace, [np.rint(np.stack([rows, columns], axis=-1)).astype(np.int32)], False, 255, 1)
        # Nonzero cells of the transposed picture come sorted by column, which is by time.
        self._trace_x, self._trace_y = np.nonzero(trace)

    def draw(self, frame_HWC: Picture, time_s: float) -> None:
        frame_HWC[self._scale_yx] = _TICK_GREY
        done = (time_s - self._start_s) / max(self._end_s - self._start_s, 1e-6)
        drawn = int(np.searchsorted(self._trace_x, self._left + done * (self._right - self._left), side="right"))
        frame_HWC[self._trace_y[:drawn], self._trace_x[:drawn]] = _GREEN


def _trace(time_s: Floats, cycle: Cycle) -> Floats:
    """A monitor lead that knows only when beats come and whether P waves precede them."""
    since = time_s[:, None] - cycle.r_waves_s
    line = np.exp(-((since / 0.012) ** 2)) - 0.2 * np.exp(-(((since - 0.03) / 0.015) ** 2))
    line += 0.22 * np.exp(-(((since - 0.27) / 0.05) ** 2))
    if cycle.has_p_waves:
        line += 0.14 * np.exp(-(((since + 0.15) / 0.03) ** 2))
    return np.asarray(line.sum(axis=1))
