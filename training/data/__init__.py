"""Files and tables as arrays and batches."""
