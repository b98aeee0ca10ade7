"""Benchmarks of the front tier and of the engine cell against their peers; nothing in `serving` knows of them."""
