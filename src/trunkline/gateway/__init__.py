"""The data plane of one node."""
