"""Usable videos of a dataset, as a memory-mapped table.

Kinetics has 300,000 videos. As Python objects they take hundreds of MB in every rank (`mvcgc bench scan`);
mapped into memory, the ranks of a node share the pages that they touch.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

from mvcgc.video.info import VideoInfo

Indices = Int32[np.ndarray, " N"]


@dataclass(frozen=True)
class Video:
    """One usable video.

    Attributes:
        path: POSIX path relative to the manifest's root; names the video everywhere.
        size: bytes.
        label: index into the classes, -1 if unlabelled.
        group: siblings cut from the same source share it.
        part: train, val or test of the chosen split.
        info: what the probe found.
    """

    path: str
    size: int
    label: int
    group: str
    part: str
    info: VideoInfo


NAMES = pa.dictionary(pa.int32(), pa.string())
"""Names that many videos share, sorted, and for each video the index of its own."""

OWN = {
    "path": pa.string(),
    "size": pa.int64(),
    "label": pa.int32(),
    "group": NAMES,
    "part": NAMES,
}
"""Columns of `Video`'s own attributes."""

INFO = {
    "codec": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "fps": pa.float64(),
    "frames": pa.int32(),
    "keyframes": pa.list_(pa.int32()),
    "seeks": pa.list_(pa.int64()),
    "clock": pa.string(),
    "origin": pa.int64(),
    "step": pa.float64(),
    "rotation": pa.int16(),
    "vectors": pa.bool_(),
    "damage": pa.string(),
    "gaps": pa.list_(pa.list_(pa.int64())),
    "mirrored": pa.bool_(),
    "opening": pa.struct({"demuxer": pa.string(), "stored": pa.bool_()}),
    "delay": pa.int32(),
    "stat": pa.list_(pa.int64()),
}
"""Columns of `VideoInfo`'s attributes."""

OF_A_COPY = {"stat"}
"""Columns that tell copies of the same dataset apart."""

assert list(INFO) == [each.name for each in fields(VideoInfo)], "each attribute of VideoInfo has a column"


class VideoTable(Sequence[Video]):
    """Videos as the columns of one Arrow record batch; a `Video` is made when it is asked for."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._columns = {name: batch.column(name) for name in (*OWN, *INFO)}

    @classmethod
    def of(cls, videos: Sequence[Video]) -> "VideoTable":
        """Return a table of ``videos``."""
        if isinstance(videos, cls):
            return videos
        columns = [_column((getattr(video, name) for video in videos), kind) for name, kind in OWN.items()]
        columns += [
            _column((_plain(getattr(video.info, name)) for video in videos), kind)
            for name, kind in INFO.items()
        ]
        return cls(pa.record_batch(columns, [*OWN, *INFO]))

    @classmethod
    def map(cls, path: Path) -> tuple["VideoTable", bytes]:
        """Map a file of `to_bytes` into memory; also return its header.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no such file, or not whole.
        """
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        batch = file.get_batch(0)
        return cls(batch), (batch.schema.metadata or {}).get(b"mvcgc", b"")

    def to_bytes(self, header: bytes) -> bytes:
        """Return the content of a file with the table and ``header``."""
        batch = self._batch.replace_schema_metadata({b"mvcgc": header})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue())

    def content(self) -> Iterator[bytes]:
        """Yield a line of JSON for each column: what the videos are, without what differs between copies."""
        for name, column in self._columns.items():
            if name not in OF_A_COPY:
                yield json.dumps([name, column.to_pylist()], separators=(",", ":"), allow_nan=False).encode()

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> list[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | list[Video]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"video {index} of {len(self)}")
        index %= len(self)
        own = {name: self._columns[name][index].as_py() for name in OWN}
        info = {name: self._columns[name][index].as_py() for name in INFO}
        return Video(**own, info=VideoInfo.from_dict(info))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def group_ids(self) -> Indices:
        """For each video the id of its group, an index into the sorted names of the groups."""
        return self._indices("group")

    def of_parts(self, parts: Sequence[str]) -> list[int]:
        """Return the indices of the videos of the given parts, in order."""
        names = self._columns["part"].dictionary.to_pylist()
        wanted = [index for index, name in enumerate(names) if name in parts]
        found: list[int] = np.flatnonzero(np.isin(self._indices("part"), wanted)).tolist()
        return found

    @property
    def labelled(self) -> bool:
        """True if any video has a label."""
        return bool((_numbers(self._columns["label"]) >= 0).any())

    def _indices(self, name: str) -> Indices:
        return _numbers(self._columns[name].indices)


def _numbers(column: pa.Array) -> Indices:
    """Return an int32 column without nulls as it lies in memory. Arrow's own way imports pandas: 30 MB."""
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: len(column)]


def _column(values: Iterator[Any], kind: pa.DataType) -> pa.Array:
    if kind != NAMES:
        return pa.array(values, kind)
    each = list(values)
    names = sorted(set(each))
    ids = {name: number for number, name in enumerate(names)}
    indices = pa.array([ids[value] for value in each], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))


def _plain(value: Any) -> Any:
    """Return an attribute as Arrow takes it."""
    if isinstance(value, Enum):
        return value.value
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
