"""Lambda functions: where they run."""
