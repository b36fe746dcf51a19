"""Measuring ourselves: ``mvcgc bench``."""
