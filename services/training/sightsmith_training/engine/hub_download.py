"""The program `python -m sightsmith_training.engine.hub_download NAME FOLDER`.

Downloads pretrained weights from the hub that timm names for them, and prints where the file lies. A
program of its own, so that whoever fetches weights need not load torch.
"""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Downloads; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sightsmith_training.engine.hub_download")
    parser.add_argument("name", help="of a pretrained network in timm")
    parser.add_argument("folder", type=Path)
    wanted = parser.parse_args(arguments)
    try:
        print(_download(wanted.name, wanted.folder))  # noqa: T201 - the program's result
    except Exception as error:  # Whatever went wrong, the one who started this program wants it in a few words.
        print(_in_words(error), file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _download(name: str, folder: Path) -> Path:
    import timm
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    if not timm.is_model(name.partition(".")[0]):
        raise LookupError(f"timm has no network {name}")
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise LookupError(f"timm knows no pretrained weights {name}")
    if not config.hf_hub_id:
        return _from_url(str(config.url), folder)
    try:
        file = config.hf_hub_filename or "model.safetensors"
        return Path(hf_hub_download(config.hf_hub_id, file, local_dir=folder))
    except RemoteEntryNotFoundError:
        return Path(hf_hub_download(config.hf_hub_id, "pytorch_model.bin", local_dir=folder))


def _from_url(url: str, folder: Path) -> Path:
    from torch.hub import download_url_to_file

    target = folder / url.rpartition("/")[2]
    download_url_to_file(url, str(target), progress=False)
    return target


def _in_words(error: Exception) -> str:
    """The error and what it came from, because a hub's client hides an unreachable network behind its own words."""
    causes: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        causes.append(f"{type(seen).__name__}: {seen}".splitlines()[0])
        seen = seen.__cause__
    return "; because of ".join(dict.fromkeys(causes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
