"""``torch.hub.load("owner/mvcgc", "mvcgc_encoder", path_or_url)``: see README.md, "Weights"."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import torch

from mvcgc.models.pretrained import PretrainedEncoder, load_encoder

dependencies = ["cattrs", "jaxtyping", "safetensors", "torch"]


def mvcgc_encoder(path_or_url: str) -> PretrainedEncoder:
    """Load the encoder of a file that ``mvcgc export`` has written, as `mvcgc.load_encoder` does.

    Args:
        path_or_url: the file, or its URL; a download stays in torch.hub's folder, under a name that the whole
            URL determines.
    """
    if "://" not in path_or_url:
        return load_encoder(path_or_url)
    digest = hashlib.sha256(path_or_url.encode()).hexdigest()[:16]
    kept = Path(torch.hub.get_dir(), "checkpoints", f"{digest}-{Path(urlsplit(path_or_url).path).name}")
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(path_or_url, str(kept), progress=False)
    return load_encoder(kept)
