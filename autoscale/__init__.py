"""From signals to replicas. Nothing here yet: the scaling law, its simulator and its checks land in this package."""
