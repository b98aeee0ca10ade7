"""The engine cell: Ray, Ray Serve and vLLM on one node."""
