"""Invented ECGs."""
