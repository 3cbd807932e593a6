"""Side-by-side measurements: ours and a fair rival in one run."""
