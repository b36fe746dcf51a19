"""The demo dataset: short videos that the project makes itself, whose classes only motion tells apart.

On disk::

    <root>/<class>/<part>_<index>.avi|.mp4     the videos
    <root>/splits/classes.txt                  class names, in the order of the labels
    <root>/splits/{train,val,test}.txt         paths below the root, one per line
    <root>/demo.json                           how it was made; written with everything else in place

Every video shows one large object that goes through the motion of its class (`motions`), over and over, in
front of a moving camera, beside a smaller object that drifts about. Shapes, patterns, colours, background,
place, size, camera and speed are drawn alike for all classes, so a single frame says nothing about the
class. Half of the videos are MPEG-4 part 2 (.avi) and half H.264 (.mp4), three quarters of either with
B-frames, alike in all classes.
"""

from mvcgc.data.demo.config import DemoConfig
from mvcgc.data.demo.layout import Demo
from mvcgc.data.demo.make import make_demo

__all__ = ["Demo", "DemoConfig", "make_demo"]
