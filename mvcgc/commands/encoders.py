"""``mvcgc export`` and ``mvcgc import``: encoders as .safetensors files."""

import argparse
from pathlib import Path

from mvcgc.commands.completers import stage_names
from mvcgc.commands.lookup import find_stage
from mvcgc.commands.root import root
from mvcgc.commands.verb import Verb, complete_by
from mvcgc.parts import title


def _add_export(parser: argparse.ArgumentParser) -> None:
    text = "name, id (as in the plan) or fingerprint"
    complete_by(parser.add_argument("stage", metavar="STAGE", help=text), stage_names)
    parser.add_argument("file", metavar="FILE.safetensors", type=Path)
    parser.add_argument(
        "--view", metavar="MODALITY", help="rgb, mv, ...; required if the stage trains two of them"
    )


def _export(parsed: argparse.Namespace) -> None:
    stage = find_stage(root(), parsed.stage)
    from mvcgc.commands import weights

    card = weights.export_encoder(stage, parsed.file, parsed.view)
    print(f"{parsed.file}: {card.view} of {card.stage}, {title(card.backbone)}")


def _add_coclr(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    parser.add_argument("file", metavar="FILE.safetensors", type=Path)


def _import_coclr(parsed: argparse.Namespace) -> None:
    from mvcgc.commands import weights

    card = weights.import_coclr(parsed.checkpoint, parsed.file)
    print(f"{parsed.file}: {card.view}, {title(card.backbone)}, of {card.source}")


EXPORT = Verb("export", "export a finished stage's encoder to .safetensors", _export, _add_export)
IMPORT = Verb(
    "import",
    "import a third-party encoder as .safetensors",
    verbs=(Verb("coclr", "the RGB network (S3D) of a CoCLR checkpoint", _import_coclr, _add_coclr),),
)
