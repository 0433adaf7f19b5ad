"""Seam 1: where an event goes."""
