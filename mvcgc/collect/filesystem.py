"""Where a sqlite file may not lie."""

from pathlib import Path

_NETWORK = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "ceph", "fuse.sshfs", "afs", "panfs")
_MOUNTS = Path("/proc/self/mounts")


def network_filesystem(file: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of network filesystem that ``file`` lies on; empty if on none, or where there is no telling.

    Locks of sqlite do not hold there: two machines that write at once spoil the file.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    path = str(file.resolve())
    kinds = {}
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        point = point.encode().decode("unicode_escape")  # a space in it stands as \040
        if path == point or path.startswith(point.rstrip("/") + "/"):
            kinds[len(point)] = kind
    found = kinds[max(kinds)] if kinds else ""
    return found if found in _NETWORK else ""
