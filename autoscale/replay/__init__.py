"""What was recorded, once more: what a ScaledObject would have asked for, and laws on a log's own requests."""
