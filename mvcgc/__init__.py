"""Compressed Video Contrastive Learning (MVCGC, NeurIPS 2021), orchestrated from video files to tables."""

__version__ = "0.1.0"
