"""A comparison of laws as one HTML file: what was offered, what each law made of it, and why."""

from autoscale.report.page import render, write

__all__ = ["render", "write"]
