"""KEDA's and the HPA's arithmetic, exactly: what a ScaledObject does with what its queries answer."""
