"""``mvcgc data transcode``: copy a folder of videos in a form that is cheap to decode.

Frames shrink to a short side of 144 pixels, and every 12th is a keyframe: reaching a clip takes a few small
frames, where Kinetics as distributed takes up to 250 large ones. The codec is MPEG-4 part 2 without B-frames:
its vectors are exported exactly, and it decodes faster than H.264 (`mvcgc bench decode`). The encoder
searches the vectors on the smaller frames, so they differ from the source's; the report says by how much.

A file appears under its final name only after it was read back. A log records finished files, so an
interrupted run resumes.
"""

from mvcgc.data.transcode.folder import LOG, transcode
from mvcgc.data.transcode.report import report
from mvcgc.data.transcode.write import TranscodeConfig, Written

__all__ = ["LOG", "TranscodeConfig", "Written", "report", "transcode"]
