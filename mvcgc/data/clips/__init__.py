"""Clips: which frames of which video are shown, and how they are read."""
