"""What HTTP adds: frames, limits, uploads, problems."""
