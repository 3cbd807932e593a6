"""Where the encoders of a run come from."""
