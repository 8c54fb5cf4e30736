"""Layers, models and the functional graph of layer calls."""
