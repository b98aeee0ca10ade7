"""Measures an engine in a short run and fits the step model to it: `tidegate scale profile`."""
