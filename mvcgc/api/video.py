"""One video file: frames, motion, and the clips that encoders take."""

from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from mvcgc.data.clips.modalities import MV, RGB, built_in, settings
from mvcgc.data.clips.modality import check_views
from mvcgc.data.clips.reading import Format, read_views
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig, centre_crop, windows
from mvcgc.errors import UserError
from mvcgc.video import Clip, ClipRequest, Matrix, Reader, VideoInfo, probe

if TYPE_CHECKING:
    from torch import Tensor

    from mvcgc.models.pretrained import PretrainedEncoder


def open_video(path: str | PathLike[str], *, mestimate: bool = False) -> "VideoFile":
    """Open a video file; decodes it once to find its frames, keyframes and motion vectors.

    Args:
        path: the file.
        mestimate: estimate motion by block matching if the codec exports no vectors (HEVC, VP9, AV1).

    Raises:
        VideoError: if the file is missing, is not a video, or no frame of it decodes.

    Example:
        >>> with mvcgc.open_video("video.mp4") as video:
        ...     print(video)
        ...     rgb = video.frames(start=2, count=4)
        ...     motion = video.motion(start=2, count=4)
        ...     both = video.both(start=2, count=4)
        video.mp4: mpeg4, 64x48 pixels, 12 frames at 25 per second, with motion vectors
        >>> rgb.shape, motion.shape
        ((4, 48, 64, 3), (4, 6, 8, 2))
        >>> bool((both.rgb == rgb).all()), bool((both.mv == motion).all()), both.valid.shape
        (True, True, (4, 6, 8))
    """
    return VideoFile(Path(path), mestimate=mestimate)


class VideoFile:
    """A video file that stays open; see `mvcgc.open_video`. Not to be shared between threads or processes.

    Attributes:
        path: the file.
        info: codec, width, height, frames per second, number of frames, and whether it has motion vectors.
    """

    def __init__(self, path: Path, *, mestimate: bool = False) -> None:
        """Open ``path``; raises VideoError as `open_video`."""
        self.path = path
        self.info: VideoInfo = probe(path)
        self._mestimate = mestimate
        self._reader = Reader(path, self.info, mestimate=mestimate)

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        info = self.info
        vectors = "with" if info.vectors else "without"
        size = f"{info.width}x{info.height} pixels"
        return (
            f"{self.path}: {info.codec}, {size}, {info.frames} frames at {info.fps:g} per second, "
            f"{vectors} motion vectors"
        )

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def frames(
        self, start: int = 0, count: int | None = None, *, size: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "T H W 3"]:
        """Return consecutive frames as RGB.

        Args:
            start: first frame, from 0, in display order.
            count: number of frames; by default all up to the end.
            size: (height, width) in pixels to scale to; by default the video's own.

        Returns:
            R, G and B from 0 to 255, upright, uint8 [T, H, W, 3].

        Raises:
            UserError: if the video has fewer frames.
            VideoError: if the file does not decode.
        """
        return self._read(start, count, size or self._own_size, motion=False).rgb

    def motion(self, start: int = 0, count: int | None = None) -> Float32[np.ndarray, "T h w 2"]:
        """Return the motion vectors of consecutive frames, one per cell of 8 x 8 pixels.

        Args:
            start: first frame, from 0, in display order.
            count: number of frames; by default all up to the end.

        Returns:
            (dx to the right, dy downwards) in pixels of the video's frame per frame of time, from the past
            towards the present, float32 [T, ceil(H / 8), ceil(W / 8), 2]; 0 where the stream says nothing,
            as in keyframes (`both` has the mask).

        Raises:
            UserError: if the video has fewer frames, or no motion vectors.
            VideoError: if the file does not decode.
        """
        mv = self._read(start, count, None, motion=True).mv
        assert mv is not None
        return mv

    def both(self, start: int = 0, count: int | None = None, *, size: tuple[int, int] | None = None) -> Clip:
        """Return frames and motion of the same frames, decoded in one pass.

        Returns:
            A clip with ``rgb`` (as `frames`), ``mv`` (as `motion`) and ``valid``, bool [T, h, w]: the cells
            for which the stream has a vector.

        Raises:
            UserError, VideoError: as `motion`.
        """
        return self._read(start, count, size or self._own_size, motion=True)

    def clip(
        self,
        modality: str,
        *,
        start: int | None = None,
        frames: int = 32,
        size: int = 128,
        cell: int = 8,
    ) -> Float32[np.ndarray, "C T S S"]:
        """Return a clip as encoders take it, cropped and scaled as in evaluation.

        The crop is the central square of 0.875 of the shorter side. `clip_for` chooses the arguments that an
        encoder was trained with.

        Args:
            modality: rgb, mv (motion vectors), flow (optical flow), ...
            start: first frame; by default the clip is the middle one of the evaluation's windows.
            frames: number of consecutive frames T.
            size: height and width S in pixels.
            cell: of mv: pixels of the video's frame that share a vector, a multiple of 8.

        Returns:
            float32 [C, T, S, S]. rgb: C = 3, R, G and B from 0 to 1. Motion and flow: C = 2, (dx to the
            right, dy downwards) in pixels of the S x S frame per frame of time, from the past towards the
            present; gaps take the nearest frame's vector.

        Raises:
            UserError: for an unknown modality or size, or if the video has too few frames or no vectors.
            VideoError: if the file does not decode.

        Example:
            >>> with mvcgc.open_video("video.mp4") as video:
            ...     motion = video.clip("mv", frames=8, size=32)
            >>> motion.shape, str(motion.dtype)
            ((2, 8, 32, 32), 'float32')
            >>> torch.from_numpy(motion)[None].shape
            torch.Size([1, 2, 8, 32, 32])
        """
        check_views([modality], settings(), "modality")
        form = Format(built_in(modality), ClipConfig(frames, size), MotionConfig(cell, size))
        start = self._window(frames) if start is None else start
        self._check(start, frames, motion=modality == MV)
        draw = centre_crop(self.info.width, self.info.height, start)
        arrays = form.empty(1)
        matrix = read_views(self.path, self.info, [draw], form, arrays, mestimate=self._mestimate)
        (stored,) = arrays[modality]
        if modality == RGB:
            return _to_rgb(stored, matrix)
        return np.ascontiguousarray(np.moveaxis(stored, -1, 0), np.float32)

    def clip_for(self, encoder: "PretrainedEncoder", *, start: int | None = None) -> "Tensor":
        """Return the clip that an encoder takes: its modality, with the sizes it was trained on.

        Args:
            encoder: from `mvcgc.load_encoder`.
            start: as for `clip`.

        Returns:
            float32 [1, C, T, S, S] on the encoder's device.

        Raises:
            UserError, VideoError: as `clip`.

        Example:
            >>> encoder = mvcgc.load_encoder("mv.safetensors")
            >>> with mvcgc.open_video("video.mp4") as video:
            ...     features = encoder(video.clip_for(encoder))
            >>> features.shape == (1, encoder.dim)
            True
        """
        import torch

        card = encoder.card
        sizes = {"frames": card.frames, "size": card.size, "cell": card.cell}
        known = {name: value for name, value in sizes.items() if value is not None}
        clip = torch.from_numpy(self.clip(card.view, start=start, **known))
        return clip[None].to(next(encoder.parameters()).device)

    @property
    def _own_size(self) -> tuple[int, int]:
        return self.info.height, self.info.width

    def _read(self, start: int, count: int | None, size: tuple[int, int] | None, *, motion: bool) -> Clip:
        count = self.info.frames - start if count is None else count
        self._check(start, count, motion=motion)
        (clip,) = self._reader.read([ClipRequest(start, count, size=size)], motion=motion)
        return clip

    def _window(self, frames: int) -> int:
        """Return the start of the middle window of ``frames``; 0 if the video is shorter."""
        return windows(self.info.frames, frames, 1)[0] if frames <= self.info.frames else 0

    def _check(self, start: int, count: int, *, motion: bool) -> None:
        total = self.info.frames
        if not 0 <= start < start + count <= total:
            raise UserError(
                f"{self.path}: start={start} and {count} frames: the video has the frames 0 to {total - 1}"
            )
        if motion and not (self.info.vectors or self._mestimate):
            raise UserError(
                f"{self.path}: {self.info.codec} exports no motion vectors; "
                "open_video(..., mestimate=True) estimates them by block matching"
            )


def _to_rgb(planes: UInt8[np.ndarray, "3 T S S"], matrix: Matrix) -> Float32[np.ndarray, "3 T S S"]:
    """Return the RGB in [0, 1] that networks are trained on, before normalisation."""
    import torch

    from mvcgc.data.inputs import convert

    rgb = torch.empty((1, *planes.shape))
    convert(torch.from_numpy(planes)[None], {"matrix": [float(matrix)]}, rgb)
    return rgb[0].numpy()
