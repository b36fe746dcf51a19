"""Runs on disk: a stage's fingerprint, folder, lock, journal and state; a sweep's record. No torch here."""
