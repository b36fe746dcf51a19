"""Index of a dataset: layouts on disk, the scan of its files, the manifest."""
