"""The program `python -m sightsmith_training.engine.backbone_export OBJECT_STORE_URL PREFIX BACKBONE`.

Makes sure that a backbone of the catalogue lies exported in the object store. A program of its own,
so that whoever wants a backbone need not load torch.
"""

import argparse
import sys

from sightsmith_training.engine.catalogue import CATALOGUE


def main(arguments: list[str]) -> int:
    """Exports; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sightsmith_training.engine.backbone_export")
    parser.add_argument("object_store_url")
    parser.add_argument("prefix", help="key prefix under which exported backbones are kept")
    parser.add_argument("backbone", choices=[backbone.name for backbone in CATALOGUE])
    wanted = parser.parse_args(arguments)
    # Loading torch takes seconds, and a wrong call need not wait for it.
    from obstore.store import from_url

    from sightsmith_training.engine.embeddings import BackboneCache

    cache = BackboneCache(from_url(wanted.object_store_url), wanted.prefix)
    cache.get(next(backbone for backbone in CATALOGUE if backbone.name == wanted.backbone))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
