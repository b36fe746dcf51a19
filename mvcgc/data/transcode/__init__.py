"""``mvcgc data transcode``: a copy of a folder of videos that is small and cheap to read.

Pictures shrink to a short side of 144 pixels, and every 12th is a keyframe: a clip is reached by decoding a
few small pictures, where Kinetics as it is stored takes up to 250 large ones. The codec is MPEG-4 part 2
without B-frames, whose vectors are exported exactly and which decodes in a third of H.264's time. Vectors are
searched anew on the smaller pictures: they are other vectors, and the report says how far from the old ones.

A file appears under its name when it is whole and was read back. A log keeps what was done: a run that was
broken off goes on where it was.
"""

from mvcgc.data.transcode.folder import LOG, transcode
from mvcgc.data.transcode.report import report
from mvcgc.data.transcode.write import TranscodeConfig, Written

__all__ = ["LOG", "TranscodeConfig", "Written", "report", "transcode"]
