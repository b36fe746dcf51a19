"""From a folder of compressed videos to augmented clips on the device.

``layouts`` knows how datasets lie on disk, ``scan`` what their files are, ``prepare`` joins both into a
``manifest``. ``sampling`` decides which clip of which video is shown (pure functions), ``views`` and
``dataset`` read it, ``loader`` makes batches, ``augment`` changes them on the device.
"""
