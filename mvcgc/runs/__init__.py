"""Runs on disk: fingerprint, folder, lock, journal and state of a stage."""
