"""Vectors to nearest studies: search back-ends, study cards, generations on disk and the job that builds them."""
