"""The serving half of Tidegate: the stateless front tier, the engine cell, their adapters and the command line."""
