"""Lets tests import the builder of tables that lies in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sound_tables import Tables, sound_tables


@pytest.fixture
def tables() -> Tables:
    """A small sound cohort of three patients that a test breaks in one place."""
    return sound_tables()
