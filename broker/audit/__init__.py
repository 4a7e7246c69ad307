"""The audit log: typed events, one writer, and the feed that enforcement follows."""
