"""Evaluation stages: linear probe, fine-tuning, retrieval; and what a task of one's own starts from."""
