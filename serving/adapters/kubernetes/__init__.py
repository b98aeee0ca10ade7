"""The Kubernetes API as the front reaches it."""
