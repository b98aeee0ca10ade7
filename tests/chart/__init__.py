"""The charts: what they render to, held against schemas, each other and live series."""
