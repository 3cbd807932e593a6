"""Epochs, checkpoints, ranks and rates: how anything is trained."""
