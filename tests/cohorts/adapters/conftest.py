"""Lets tests import the trees of this folder, and the builders of ECG and echo files."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "inputs")]
