"""Goodput benchmarks. Nothing here yet: locust users, arrival schedules and verdicts land in this package."""
