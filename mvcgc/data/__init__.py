"""From a folder of compressed videos to augmented clips on the device.

``index`` knows how datasets lie on disk and what their files are; its result is a ``manifest``. ``clips``
decides which clip of which video is shown (pure functions) and how each modality is made of it, ``loading``
makes batches in worker processes, ``augment`` draws and changes clips, ``inputs`` makes the networks' input.
"""
