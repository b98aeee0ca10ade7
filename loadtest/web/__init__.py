"""The goodput tab in locust's web UI."""
