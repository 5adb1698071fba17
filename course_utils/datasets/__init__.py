"""Data for the lessons: `docs` (text already on this machine) and `digits` (handwritten scans)."""
