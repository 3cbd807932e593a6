"""One reader per ECG file format. Each takes bytes and returns an EcgRecording or raises UnreadableFile."""
