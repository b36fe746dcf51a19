"""Evaluation stages: linear probe, fine-tuning, retrieval."""
