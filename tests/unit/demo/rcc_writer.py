"""A tiny writer of compiled Qt resource files, for the reader's tests."""

import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

Tree = dict[str, "Tree | bytes"]


def write_rcc(
    files: Mapping[str, bytes], version: int = 3, deflated: Collection[str] = (), zstd: Collection[str] = ()
) -> bytes:
    """A resource file of the given format that holds `files` by path; those in `deflated` are packed by zlib."""
    writer = _Writer(version, frozenset(deflated), frozenset(zstd))
    writer.add_folder("", _tree(files), "")
    return writer.finish()


def _tree(files: Mapping[str, bytes]) -> Tree:
    root: Tree = {}
    for path, content in files.items():
        *folders, name = path.split("/")
        here = root
        for folder in folders:
            here = here.setdefault(folder, {})  # type: ignore[assignment]
        here[name] = content
    return root


@dataclass
class _Writer:
    version: int
    deflated: frozenset[str]
    zstd: frozenset[str]
    nodes: list[bytes] = field(default_factory=lambda: [b""])
    names: bytes = b""
    contents: bytes = b""

    def add_folder(self, name: str, tree: Tree, path: str, index: int = 0) -> None:
        first = len(self.nodes)
        self.nodes.extend(b"" for _ in tree)
        self.nodes[index] = self._node(self._name(name), 2, struct.pack(">II", len(tree), first))
        for child, (child_name, content) in enumerate(tree.items(), first):
            child_path = f"{path}/{child_name}" if path else child_name
            if isinstance(content, bytes):
                self._add_file(child, child_name, content, child_path)
            else:
                self.add_folder(child_name, content, child_path, child)

    def _add_file(self, index: int, name: str, content: bytes, path: str) -> None:
        flags = 4 if path in self.zstd else 1 if path in self.deflated else 0
        stored = struct.pack(">I", len(content)) + zlib.compress(content) if flags == 1 else content
        self.nodes[index] = self._node(self._name(name), flags, struct.pack(">HHI", 0, 0, len(self.contents)))
        self.contents += struct.pack(">I", len(stored)) + stored

    def _node(self, name_offset: int, flags: int, tail: bytes) -> bytes:
        time_of_change = b"" if self.version == 1 else bytes(8)
        return struct.pack(">IH", name_offset, flags) + tail + time_of_change

    def _name(self, name: str) -> int:
        offset, encoded = len(self.names), name.encode("utf-16-be")
        self.names += struct.pack(">HI", len(encoded) // 2, 0) + encoded
        return offset

    def finish(self) -> bytes:
        tree = b"".join(self.nodes)
        start = 24 if self.version == 3 else 20
        offsets = (start, start + len(tree), start + len(tree) + len(self.contents))
        overall_flags = bytes(4) if self.version == 3 else b""
        return (
            struct.pack(">4sIIII", b"qres", self.version, *offsets) + overall_flags + tree + self.contents + self.names
        )
