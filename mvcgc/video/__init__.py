"""Compressed video files in, aligned clips of RGB and motion vectors out; nothing else imports av."""

from mvcgc.video.clip import Box, Clip, ClipRequest
from mvcgc.video.colour import Matrix, to_grey, to_rgb
from mvcgc.video.coviar import reencode
from mvcgc.video.encode import encode
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.field import CELL, MotionField, fill, pool
from mvcgc.video.flow import FlowMethod, flow
from mvcgc.video.info import Clock, VideoInfo
from mvcgc.video.probe import probe
from mvcgc.video.reader import Reader

__all__ = [
    "CELL",
    "Box",
    "Clip",
    "ClipRequest",
    "Clock",
    "FlowMethod",
    "Matrix",
    "MotionField",
    "Reader",
    "Reason",
    "VideoError",
    "VideoInfo",
    "encode",
    "fill",
    "flow",
    "pool",
    "probe",
    "reencode",
    "to_grey",
    "to_rgb",
]
