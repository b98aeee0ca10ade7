"""The hot store and the stream log in Redis."""
