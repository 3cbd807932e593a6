"""Classic measurements of an ECG, from the tracing alone: rate, intervals and axis. No model sees them."""
