"""Frozen suites, one file each; benchmarks/freeze_suites.py writes them."""
