"""Where runs are shown: the configuration group ``tracking``."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mvcgc.errors import UserError

_SCHEMES = ("sqlite", "http", "https")
_EXPERIMENT = re.compile(r"[\w][\w .:-]*")


class CollectError(RuntimeError):
    """MLflow could not be reached, or not be written to. One line; what was not sent is sent next time."""


@dataclass
class TrackingConfig:
    """The MLflow store that `collect` writes to; training itself never sees it."""

    enabled: bool = True
    """Whether a run collects when it is over."""
    uri: str = ""
    """``sqlite:////file.db`` or the address of a server; empty: ``mlflow.db`` in the root of all runs."""
    experiment: str = "mvcgc"
    """The experiment that holds all runs of this root."""
    timeout_s: float = 10.0
    """Seconds that one request to a server may take."""

    def __post_init__(self) -> None:
        if not _EXPERIMENT.fullmatch(self.experiment):
            raise UserError(
                f"tracking.experiment={self.experiment!r}: "
                "use letters, digits, spaces and _ - . : but no slash"
            )
        scheme = urlsplit(self.uri).scheme
        if self.uri and scheme not in _SCHEMES:
            raise UserError(
                f"tracking.uri={self.uri!r}: give sqlite:////absolute/path.db or http(s)://host:port, "
                "or leave it empty for mlflow.db in the root folder"
            )
        if self.timeout_s <= 0:
            raise UserError(f"tracking.timeout_s={self.timeout_s}: give a number of seconds above 0")

    @property
    def is_server(self) -> bool:
        """Whether the store is behind a server, rather than a file of this machine."""
        return self.uri.startswith("http")

    def store_uri(self, root: Path) -> str:
        """The store's address, with the default filled in."""
        return self.uri or f"sqlite:///{(root / 'mlflow.db').resolve()}"

    def store_file(self, root: Path) -> Path | None:
        """The sqlite file of the store; None if it is a server."""
        uri = self.store_uri(root)
        return None if self.is_server else Path(uri.removeprefix("sqlite:///"))
