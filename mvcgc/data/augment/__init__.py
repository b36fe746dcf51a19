"""Augmentation of training clips, a part: parameters drawn per sample on the host, applied on the device."""
