"""Reading in child processes that may be killed."""
