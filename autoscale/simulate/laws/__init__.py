"""Scaling laws that a simulated fleet is run by: ours, those of others, and two that no cluster can have."""
