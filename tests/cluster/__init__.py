"""A real Helm install against a Kubernetes API; see README.md."""
