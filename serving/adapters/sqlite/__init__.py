"""The durable store in a SQLite file."""
