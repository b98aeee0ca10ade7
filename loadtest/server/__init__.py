"""What the servers say of themselves: scraped series, reconciled with what the client saw."""
