"""A discrete-event model of a fleet of vLLM replicas with the real scaling law in the loop."""
