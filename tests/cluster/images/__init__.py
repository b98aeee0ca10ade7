"""Programs that stand for container images on the cluster tool; images.json says which."""
