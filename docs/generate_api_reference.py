"""Writes `docs/api.md` from the protos and their comments: `python -m docs.generate_api_reference`."""

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import google.rpc
from google.api import field_behavior_pb2, resource_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc  # type: ignore[import-untyped]

DOCS = Path(__file__).parent
PROTOS = DOCS.parent / "protos"
REFERENCE = DOCS / "api.md"

# In the order in which a reader meets them; within a package, services come before what they speak of.
_AREAS = ("labeling", "training", "inference", "common", "events")
_ROOT = "sightsmith.api"
_NOTE = "<!-- Written by docs/generate_api_reference.py (`make docs`): change the protos or api_introduction.md. -->\n"

# The column "behaviour" says this already.
_BEHAVIOUR_IN_WORDS = re.compile(r"^(Required|Optional|Output only|Identifier)\. ")

# Numbers of fields in descriptor.proto, from which the paths of `SourceCodeInfo` are made.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM = 2, 3, 4
_ENUM_VALUE = _SERVICE_METHOD = 2


@dataclass(frozen=True)
class Place:
    """A place in a proto file: `path` as `SourceCodeInfo` counts it, and the comments of the whole file."""

    comments: Mapping[tuple[int, ...], str]
    path: tuple[int, ...] = ()

    def child(self, kind: int, index: int) -> "Place":
        """The place of a part of what is here."""
        return Place(self.comments, (*self.path, kind, index))

    @property
    def comment(self) -> str:
        """What the comment before it says, in one line."""
        return " ".join(self.comments.get(self.path, "").split())


def write_reference() -> None:
    """Writes the reference to its place."""
    REFERENCE.write_text(render_reference(), encoding="utf-8")


def render_reference() -> str:
    """The reference as Markdown: the introduction, then every package."""
    descriptors = _compile()
    packages: dict[str, list[FileDescriptorProto]] = {}
    for file in descriptors.file:
        packages.setdefault(file.package, []).append(file)
    ours = [packages[f"{_ROOT}.{area}.v1"] for area in _AREAS]
    introduction = (DOCS / "api_introduction.md").read_text(encoding="utf-8")
    blocks = [block for package in ours for block in _package(package)]
    return _NOTE + introduction.rstrip() + "\n\n" + "\n\n".join(blocks) + "\n"


def _compile() -> FileDescriptorSet:
    """Reads the protos with their comments.

    Raises:
        RuntimeError: if protoc refuses them; it has said why on standard error.
    """
    google_protos = Path(google.rpc.__path__[0]).parents[1]
    well_known = files("grpc_tools") / "_proto"
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "descriptors")
        options = ["--include_source_info", f"--descriptor_set_out={output}"]
        includes = [f"-I{path}" for path in (PROTOS, google_protos, well_known)]
        if protoc.main(["protoc", *includes, *options, *sources]) != 0:
            raise RuntimeError(f"protoc refused the protos in {PROTOS}")
        return FileDescriptorSet.FromString(output.read_bytes())


def _package(package: Sequence[FileDescriptorProto]) -> Iterator[str]:
    yield f"## {package[0].package.removeprefix(_ROOT + '.')}\n\nPackage `{package[0].package}`."
    places = [
        Place({tuple(place.path): place.leading_comments for place in file.source_code_info.location})
        for file in package
    ]
    for file, place in zip(package, places, strict=True):
        for index, service in enumerate(file.service):
            yield _service(service, place.child(_FILE_SERVICE, index))
    for file, place in zip(package, places, strict=True):
        for index, enum in enumerate(file.enum_type):
            yield _enum(enum, place.child(_FILE_ENUM, index), enum.name)
        for index, message in enumerate(file.message_type):
            yield from _message(message, place.child(_FILE_MESSAGE, index), message.name)


def _service(service: ServiceDescriptorProto, place: Place) -> str:
    rows = []
    for index, method in enumerate(service.method):
        request = f"{'stream ' * method.client_streaming}{_type_link(method.input_type)}"
        response = f"{'stream ' * method.server_streaming}{_type_link(method.output_type)}"
        rows.append((f"`{method.name}`", f"{request} → {response}", place.child(_SERVICE_METHOD, index).comment))
    return f"### {service.name}\n\n{place.comment}\n\n{_table(('RPC', 'request → response', 'what it does'), rows)}"


def _message(message: DescriptorProto, place: Place, name: str) -> Iterator[str]:
    maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    parts = [f"### {name}", place.comment]
    pattern = message.options.Extensions[resource_pb2.resource].pattern
    if pattern:
        parts.append(f"Name: `{pattern[0]}`.")
    if message.field:
        rows = [
            _field_row(message, field, maps, place.child(_MESSAGE_FIELD, index))
            for index, field in enumerate(message.field)
        ]
        parts.append(_table(("field", "type", "behaviour", "what it is"), rows))
    yield "\n\n".join(parts)
    for index, enum in enumerate(message.enum_type):
        yield _enum(enum, place.child(_MESSAGE_ENUM, index), f"{name}.{enum.name}")
    for index, nested in enumerate(message.nested_type):
        if nested.name not in maps:
            yield from _message(nested, place.child(_MESSAGE_NESTED, index), f"{name}.{nested.name}")


def _field_row(
    message: DescriptorProto, field: FieldDescriptorProto, maps: Mapping[str, DescriptorProto], place: Place
) -> tuple[str, ...]:
    kinds = field.options.Extensions[field_behavior_pb2.field_behavior]
    behaviour = [field_behavior_pb2.FieldBehavior.Name(kind).lower().replace("_", " ") for kind in kinds]
    if field.HasField("oneof_index") and not field.proto3_optional:
        behaviour.append(f"one of `{message.oneof_decl[field.oneof_index].name}`")
    comment = _BEHAVIOUR_IN_WORDS.sub("", place.comment)
    return f"`{field.name}`", _field_type(field, maps), ", ".join(behaviour), comment


def _field_type(field: FieldDescriptorProto, maps: Mapping[str, DescriptorProto]) -> str:
    if (entry := maps.get(field.type_name.rpartition(".")[2])) is not None:
        key, value = (_single_type(part) for part in entry.field)
        return f"map of {key} to {value}"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {_single_type(field)}"
    return f"{'optional ' * field.proto3_optional}{_single_type(field)}"


def _single_type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return _type_link(field.type_name)
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _type_link(full_name: str) -> str:
    """A link to a message or enum of ours; the plain name of Google's, such as `google.rpc.Status`."""
    name = full_name.removeprefix(".")
    match = re.fullmatch(re.escape(_ROOT) + r"\.\w+\.v1\.(.+)", name)
    return f"[{match[1]}](#{_anchor(match[1])})" if match else f"`{name}`"


def _anchor(heading: str) -> str:
    """The anchor that Markdown viewers give to a heading: lower case, without dots."""
    return heading.lower().replace(".", "")


def _enum(enum: EnumDescriptorProto, place: Place, name: str) -> str:
    rows = [
        (f"`{value.name}`", str(value.number), place.child(_ENUM_VALUE, index).comment)
        for index, value in enumerate(enum.value)
    ]
    return f"### {name}\n\n{place.comment}\n\n{_table(('value', 'number', 'what it means'), rows)}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    write_reference()
