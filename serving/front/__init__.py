"""The front tier: one request in nine steps; `flow.py` is the place to start reading."""
