"""Editions derived from the notebooks, and what keeps them current."""
