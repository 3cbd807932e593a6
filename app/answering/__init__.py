"""An ECG to its answer. Knows no HTTP."""
