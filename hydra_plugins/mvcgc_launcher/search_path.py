"""The user's own configuration: ``conf/`` of the working directory and the folder ``MVCGC_CONFIG_DIR``."""

import os
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

PRIMARY = "pkg://mvcgc.conf"
VARIABLE = "MVCGC_CONFIG_DIR"
FOLDER = "conf"


class OwnConfiguration(SearchPathPlugin):
    """Add the user's folders behind ours. Other Hydra programs load this plugin too: it ignores them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folders that exist. Hydra itself appends that of ``--config-dir``."""
        if all(element.path != PRIMARY for element in search_path.get_path()):
            return
        named = os.environ.get(VARIABLE)
        for folder in ([Path(named)] if named else []) + [Path.cwd() / FOLDER]:
            if folder.is_dir():
                search_path.append("mvcgc", f"file://{folder.absolute()}")
