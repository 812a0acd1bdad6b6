"""Legged robots on terrain that is data: quadruped, planar walker, humanoid."""
