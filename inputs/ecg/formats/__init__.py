"""One ECG format, one file."""
