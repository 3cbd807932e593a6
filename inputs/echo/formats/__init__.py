"""One clip format, one file."""
