"""Arenas, families and frozen suites."""
