"""What the header of an MPEG-4 part 2 frame tells (ISO/IEC 14496-2)."""

PICTURE = b"\0\0\1\xb6"
"""The start code of a frame (6.2.1, vop_start_code)."""

_B = 2
"""vop_coding_type of B-frames (table 6-20)."""


def is_b(packet: bytes) -> bool:
    """Whether a packet begins with a B-frame; False also where no frame is recognised."""
    coding = packet.find(PICTURE) + len(PICTURE)
    return len(PICTURE) <= coding < len(packet) and packet[coding] >> 6 == _B
