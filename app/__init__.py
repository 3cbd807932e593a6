"""The HTTP service and its page. The only package that knows FastAPI."""
