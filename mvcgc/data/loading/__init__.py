"""Loading: batches of clips, decoded in worker processes."""
