"""Lets tests import the builders of made-up data sets that lie in this folder, and those of ECG and echo files."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "inputs"))
