"""Measurements of graphc against its peers: ``python -m benchmarks``."""
