"""How datasets lie on disk. A layout lists videos, labels, groups and parts; it opens no video."""
