"""The durable store in DynamoDB."""
