"""The live goodput tab in locust's web UI: `install` adds it; it reads a `Live` and changes nothing."""

from loadtest.web.tab import install

__all__ = ["install"]
