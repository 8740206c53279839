"""Work that goes to another process of this machine as a file; arrays mapped from files stay where they are."""

import mmap
import pickle
from pathlib import Path
from typing import Any

import numpy as np


def write_parcel(file: Path, content: object) -> None:
    """Writes something, beside its place first, so that a whole parcel lies there or none.

    Args:
        file: to write.
        content: anything that can be pickled. Of arrays mapped from files only the place is written: a training's
            pixels can be larger than the memory.
    """
    beside = file.with_name(f"{file.name}.part")
    with beside.open("wb") as stream:
        _Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(content)
    beside.replace(file)


def read_parcel(file: Path) -> Any:
    """Reads what another process of the same training wrote; never to be used on anything from elsewhere."""
    return pickle.loads(file.read_bytes())  # noqa: S301 - see the docstring


class _Pickler(pickle.Pickler):
    def reducer_override(self, each: object) -> Any:
        # What is computed from a mapped array is of the same class, but of no file.
        if isinstance(each, np.memmap) and each.filename is not None and each.flags.c_contiguous:
            return _map, (str(each.filename), each.dtype, each.shape, _bytes_before(each))
        return NotImplemented


def _map(file: str, dtype: "np.dtype[Any]", shape: tuple[int, ...], offset: int) -> Any:
    return np.memmap(file, dtype, "r", offset, shape)


def _bytes_before(array: "np.memmap[Any, Any]") -> int:
    """Bytes of the file before the array's first element; `offset` tells it of the whole array, not of a part."""
    mapping = np.frombuffer(array._mmap, np.uint8)  # type: ignore[attr-defined]
    start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    return int(start + array.ctypes.data - mapping.ctypes.data)
