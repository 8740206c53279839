"""Real photographs for the demo, from the Debian package `gcompris-qt-data`.

The package is the picture data of GCompris, a suite of learning games; its photographs are under free licences. It is
fetched by `apt-get download`, which checks signature and checksum, and unpacked by `dpkg-deb`: no root is needed and
nothing of the system is changed. The result is kept in the user's cache folder.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path, PurePosixPath

from platformdirs import user_cache_path

from sightsmith.demo.debian_package import DebianPackageError, download_package, unpack_package
from sightsmith.demo.errors import DemoPhotosError
from sightsmith.demo.qt_resources import QtResources, ResourceError

PACKAGE = "gcompris-qt-data"
COPYRIGHT_FILE = f"usr/share/doc/{PACKAGE}/copyright"
MIN_IMAGES_PER_LABEL = 8
IMAGE_SUFFIXES = frozenset({".webp", ".jpg", ".jpeg", ".png"})

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """Which pictures of the package bear a label: the folder below `activities/` and the names (`*` allowed)."""

    label: str
    folder: str
    names: tuple[str, ...]


_CATEGORIES = "categorization/resource/images"
_FARM = "explore_farm_animals/resource/animals"
_WORLD = "explore_world_animals/resource/animals"
_WILD = "erase/resource"
_MONUMENTS = "explore_monuments/resource"
_DETAILS = "details/resource/image"

# Photographs only (the package is mostly drawings), and no building or scene twice: a photograph that is in two
# folders of the package is taken from one, so that no test image is also a training image.
CHOICES = (
    Choice("bird", _FARM, ("chicken", "duck", "owl")),
    Choice("bird", _WORLD, ("scarlet_macaw",)),
    Choice("bird", _WILD, ("gosling", "heron", "kingfisher", "northern_harrier")),
    Choice("bird", _WILD, ("penguin", "spoonbills", "swans", "toucan")),
    Choice("castle", f"{_MONUMENTS}/france", ("chateaudeChambord", "chateaudeChenonceau")),
    Choice("castle", f"{_MONUMENTS}/france", ("citedeCarcassonne", "palaisdesPapes")),
    Choice("castle", f"{_MONUMENTS}/germany", ("neuschwansteinCastle", "schwerinPalace")),
    Choice("castle", _DETAILS, ("EgeskovSlotSpejling_background", "EilanDonanCastle_background", "Nagoya_background")),
    Choice("fish", f"{_CATEGORIES}/fishes", ("fish*",)),
    Choice("household", f"{_CATEGORIES}/others", ("bucket", "buffetset", "bulb", "chair", "cup", "knife")),
    Choice("household", f"{_CATEGORIES}/others", ("pan", "pillow", "plate", "spoons", "weighingMachine")),
    Choice("mammal", _FARM, ("cat", "cow", "dog", "horse", "pig", "sheep")),
    Choice("mammal", _WORLD, ("bison", "giraffe", "hedgehog", "jaguar", "kangaroo", "koala")),
    Choice("mammal", _WORLD, ("lemur", "moose", "narwhal", "panda", "polar_bear")),
    Choice("mammal", _WILD, ("alpaca", "calf", "camels", "cheetah", "dolphin", "flying_fox", "gibbon")),
    Choice("mammal", _WILD, ("giraffe", "goat", "gorilla", "horse", "kitten", "long_nosed_monkey", "macaque")),
    Choice("mammal", _WILD, ("meerkats", "nubian_ibex", "pika", "red_panda", "rhinoceros", "squirrel")),
    Choice("monument", f"{_CATEGORIES}/monuments", ("*",)),
    Choice("solar_power", f"{_CATEGORIES}/renewable", ("solar*",)),
    Choice("tool", f"{_CATEGORIES}/tools", ("*",)),
    # windmill6 is a wind turbine.
    Choice("windmill", f"{_CATEGORIES}/renewable", ("windmill", "windmill[1-5]", "windmill[7-9]", "windmill1[0-9]")),
    Choice("windmill", _DETAILS, ("FanoeWindmill_background",)),
)


def fetch_demo_photos(progress: Progress, cache: Path | None = None) -> Path:
    """Gives a folder `<label>/<photograph>` of real photographs, downloading them the first time (about 45 MB).

    Beside the folder stand `SOURCES.txt`, which names the package, and `credits/`, the licences of the photographs.

    Args:
        progress: is told in plain words what is being done.
        cache: where photographs are kept between runs; the user's cache folder by default.

    Raises:
        DemoPhotosError: apt-get or dpkg-deb is missing, the download failed, or the package holds other photographs.
    """
    home = (cache or user_cache_path("sightsmith")) / "demo-photos"
    if kept := _kept(home):
        progress(f"Using the demo photographs in {kept}")
        return kept
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=home) as scratch:
            return _fetch(home, Path(scratch), progress)
    except (DebianPackageError, ResourceError, OSError) as error:
        raise DemoPhotosError(
            f"could not get the demo photographs: {error}. "
            "To use photographs of your own, laid out as FOLDER/<label>/<image>, pass DATA=FOLDER to make, "
            "or --data FOLDER on the command line"
        ) from error


def _fetch(home: Path, scratch: Path, progress: Progress) -> Path:
    progress(f"Downloading the photographs of the Debian package {PACKAGE} (about 45 MB)")
    package = download_package(PACKAGE, scratch / "download", progress)
    progress(f"Unpacking {package.name} {package.version}")
    unpacked = scratch / "unpacked"
    unpack_package(package, unpacked)
    made = scratch / "made"
    counts = lay_out(unpacked, made / "photos", made / "credits")
    _check(counts)
    copyright_file = unpacked / COPYRIGHT_FILE
    shutil.copyfile(copyright_file, made / "credits" / "copyright")
    (made / "SOURCES.txt").write_text(_sources(package.version, counts), encoding="utf-8")
    finished = home / f"{package.version}-{_choices_digest()}"
    if not finished.exists():  # Another run may have been faster.
        made.rename(finished)
    progress(f"Kept {counts.total()} photographs of {len(counts)} labels in {finished}")
    return finished / "photos"


def _kept(home: Path) -> Path | None:
    """The newest whole set made with the present choices. What is not whole never bears such a name."""
    made = sorted(home.glob(f"[!.]*-{_choices_digest()}"), key=lambda folder: folder.stat().st_mtime)
    return made[-1] / "photos" if made else None


def _choices_digest() -> str:
    return sha256(repr(CHOICES).encode()).hexdigest()[:8]


def lay_out(unpacked: Path, photos: Path, credits: Path) -> Counter[str]:
    """Copies the chosen photographs out of all resource files below `unpacked` and counts them by label.

    Raises:
        ResourceError: a resource file is damaged.
        OSError: a folder cannot be read or written.
    """
    counts: Counter[str] = Counter()
    credits.mkdir(parents=True, exist_ok=True)
    for resources in _resource_files(unpacked):
        for entry in resources.entries():
            path = _below_activities(entry.path)
            if path is None:
                continue
            if path.name == "README" and _credits_a_choice(path):
                (credits / f"{'-'.join(path.parent.parts)}.txt").write_bytes(resources.read(entry))
            elif label := label_of(path):
                # The name of the activity keeps the giraffes of two activities apart.
                target = photos / label / f"{path.parts[0]}-{path.name}"
                if target.exists():  # A resource may be there again for another language.
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(resources.read(entry))
                counts[label] += 1
    return counts


def label_of(path: PurePosixPath) -> str | None:
    """The label of a file of the package, given its path below `activities/`; None where it is not chosen."""
    if path.suffix not in IMAGE_SUFFIXES:
        return None
    folder = path.parent.as_posix()
    for choice in CHOICES:
        if folder == choice.folder and any(fnmatchcase(path.stem, name) for name in choice.names):
            return choice.label
    return None


def _credits_a_choice(readme: PurePosixPath) -> bool:
    return any(PurePosixPath(choice.folder).is_relative_to(readme.parent) for choice in CHOICES)


def _below_activities(path: str) -> PurePosixPath | None:
    _, found, below = path.partition("activities/")
    return PurePosixPath(below) if found else None


def _resource_files(folder: Path) -> Iterator[QtResources]:
    activities = {choice.folder.partition("/")[0] for choice in CHOICES}
    for path in sorted(folder.rglob("*.rcc")):
        if path.stem in activities:
            try:
                yield QtResources(path.read_bytes())
            except ResourceError as error:
                raise ResourceError(f"{path.name}: {error}") from error


def _check(counts: Counter[str]) -> None:
    few = {label: counts[label] for label in sorted({choice.label for choice in CHOICES})}
    few = {label: count for label, count in few.items() if count < MIN_IMAGES_PER_LABEL}
    if few:
        listed = ", ".join(f"{label} ({count})" for label, count in few.items())
        raise ResourceError(f"this version of {PACKAGE} holds too few photographs of: {listed}")


def _sources(version: str, counts: Counter[str]) -> str:
    labels = "\n".join(f"  {label}: {counts[label]}" for label in sorted(counts))
    return (
        f"The photographs in photos/ are unchanged copies from the Debian package {PACKAGE}, version {version}:\n"
        f"{labels}\n\n"
        f"The package's copyright file, /{COPYRIGHT_FILE}, is kept here as credits/copyright; the other\n"
        "files in credits/ are the package's own lists of photographers, sources and licences, one for each folder.\n"
        "The licences are free ones, mostly public domain, CC0, CC-BY and CC-BY-SA: name the photographers where you\n"
        "pass the photographs on.\n"
    )
