"""Adapters: mtbench behind other libraries' interfaces. Each needs an extra of its own and is imported by name."""
