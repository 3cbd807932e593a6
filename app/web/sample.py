"""An invented ECG for who has none at hand. Nothing in it comes from a patient."""

from __future__ import annotations

from app.answering.pipeline import Upload
from app.web.assets import ASSETS
from inputs.records import UploadedFile

SAMPLE_NAME = "simulated_ecg.zip"
SAMPLE = Upload((UploadedFile(SAMPLE_NAME, ASSETS[SAMPLE_NAME].content),))
