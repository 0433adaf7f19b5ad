"""Seam 3: sending to, closing and asking about a connection, wherever it is."""
