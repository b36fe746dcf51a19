"""Fields of frame headers, read from packets without a decoder.

Of H.264 (ITU-T H.264, 7.3) those that bound a vector's reference; of MPEG-4 part 2 (ISO/IEC 14496-2) the
frame's type.
"""

from collections.abc import Iterator

SLICES = frozenset({1, 2, 5})
"""NAL unit types that begin a picture: a slice, its data partition A, a slice of an IDR picture."""

SPS = 7
"""NAL unit type of a sequence parameter set."""

WITH_CHROMA_FORMAT = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
"""Profiles whose sequence parameter set tells the chroma format and scaling lists."""

VOP_START = b"\0\0\1\xb6"
"""MPEG-4's start code of a frame (6.2.1)."""

_B_VOP = 2
"""vop_coding_type of B-frames (table 6-20)."""

HEADER = 512
"""Bytes of a NAL unit that are looked at; parameter sets are shorter, slice headers much."""


def is_b_vop(packet: bytes) -> bool:
    """Return whether a packet begins with a B-frame of MPEG-4; False where no frame is recognised."""
    coding = packet.find(VOP_START) + len(VOP_START)
    return len(VOP_START) <= coding < len(packet) and packet[coding] >> 6 == _B_VOP


def length_size(extradata: bytes) -> int:
    """Bytes of the length before each NAL unit of a packet (.mp4, .mkv); 0 if start codes separate them."""
    return (extradata[4] & 3) + 1 if len(extradata) > 6 and extradata[0] == 1 else 0


def is_reference(packet: memoryview, length: int) -> bool:
    """Whether the picture of a packet may be referred to (``nal_ref_idc``); True if it has no slice."""
    for start in starts(packet, length):
        header = packet[start]
        if header & 0x1F in SLICES:
            return header >> 5 & 3 > 0
    return True


def units(packet: memoryview, length: int) -> Iterator[bytes]:
    """The first bytes of each NAL unit of a packet with lengths of ``length`` bytes, or with start codes."""
    return (bytes(packet[start : start + HEADER]) for start in starts(packet, length))


def starts(packet: memoryview, length: int) -> Iterator[int]:
    """Where each NAL unit of a packet begins, with its header."""
    position = 0 if length else _after_start_code(packet, 0)
    while 0 <= position < len(packet) - length:
        yield position + length
        if length:
            position += length + int.from_bytes(packet[position : position + length], "big")
        else:
            position = _after_start_code(packet, position)


def _after_start_code(data: memoryview, position: int) -> int:
    at = bytes(data[position : position + 4096]).find(b"\0\0\1")
    return position + at + 3 if at >= 0 else -1


def most_references(extradata: bytes) -> int:
    """``max_num_ref_frames`` of the first sequence parameter set; 16, H.264's limit, if there is none."""
    if length_size(extradata):
        size = int.from_bytes(extradata[6:8], "big")
        sets = [extradata[8 : 8 + size]] if extradata[5] & 0x1F else []
    else:
        found = units(memoryview(extradata), 0)
        sets = [unit for unit in found if unit and unit[0] & 0x1F == SPS]
    return _parse_references(sets[0]) if sets else 16


def _parse_references(sps: bytes) -> int:
    bits = _Bits(sps[1:].replace(b"\0\0\3", b"\0\0"))  # without emulation prevention
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.unsigned()  # id
    if profile in WITH_CHROMA_FORMAT:
        lists = 8
        if bits.unsigned() == 3:  # 4:4:4
            bits.take(1)
            lists = 12
        bits.unsigned()  # bit depths
        bits.unsigned()
        bits.take(1)
        if bits.take(1):
            for i in range(lists):
                if bits.take(1):
                    bits.skip_scaling_list(16 if i < 6 else 64)
    bits.unsigned()  # length of frame_num
    order_type = bits.unsigned()
    if order_type == 0:
        bits.unsigned()
    elif order_type == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    return bits.unsigned()


class _Bits:
    """Reads the bits of a header from the most significant one on; zeros after its end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next ``count`` bits."""
        self._left -= count
        return (self._value >> self._left if self._left >= 0 else 0) & (1 << count) - 1

    def unsigned(self) -> int:
        """An exponential Golomb code, ue(v)."""
        zeros = 0
        while self._left > 0 and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """A signed exponential Golomb code, se(v)."""
        code = self.unsigned()
        return code + 1 >> 1 if code & 1 else -(code >> 1)

    def skip_scaling_list(self, size: int) -> None:
        """A scaling list of ``size`` entries (7.3.2.1.1.1)."""
        following = last = 8
        for _ in range(size):
            if following:
                following = (last + self.signed()) % 256
            last = following or last
