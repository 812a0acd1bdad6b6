"""Baselines, installed as `mtbench.baselines`: one file per algorithm, read from top to bottom."""
