"""From signals to replicas: the law's data, KEDA's and the HPA's arithmetic, checks, and a simulator of it all."""
