"""Invented echo clips."""
