"""Measurements; each script says at its head how to run it."""
