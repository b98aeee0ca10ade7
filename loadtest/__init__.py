"""Goodput benchmarks. Nothing here yet: the locust users, the arrival schedules and the verdicts land in this package."""
