"""ECG files to prepared windows."""
