"""What a running cluster says of its scaling: Prometheus' answers, KEDA's and the HPA's objects, and checks of them."""
