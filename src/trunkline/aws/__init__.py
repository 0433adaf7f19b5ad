"""A program on AWS: what it becomes there, what it may do, and how it gets there."""
