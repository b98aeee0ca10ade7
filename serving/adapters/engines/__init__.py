"""Engines as the front reaches and finds them."""
