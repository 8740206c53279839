"""Checks every field that the protos mark REQUIRED, and every text, so that no servicer has to."""

from collections.abc import Iterator, Mapping
from functools import cache

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from sightsmith.errors import FieldViolation, InvalidArgumentError


def check_required_fields(request: Message) -> None:
    """Looks for missing required fields in a request and in the messages inside it.

    Raises:
        InvalidArgumentError: with one violation for each missing field.
    """
    violations = [FieldViolation(path, "is required") for path in _missing(request, "")]
    if violations:
        names = ", ".join(violation.field for violation in violations)
        raise InvalidArgumentError(f"missing in the request: {names}", violations=violations)


def check_texts(request: Message) -> None:
    """Looks for NUL characters in the texts of a request and of the messages inside it: PostgreSQL can keep none.

    Raises:
        InvalidArgumentError: with one violation for each such text.
    """
    violations = [FieldViolation(path, "must not contain a NUL character") for path in _with_nul(request, "")]
    if violations:
        names = ", ".join(violation.field for violation in violations)
        raise InvalidArgumentError(f"NUL characters in the request: {names}", violations=violations)


def _missing(message: Message, prefix: str) -> Iterator[str]:
    for field in _required_fields(message.DESCRIPTOR):
        if not _is_set(message, field):
            yield prefix + field.name
    if "update_mask" in message.DESCRIPTOR.fields_by_name:
        # An update leaves out what it does not change (AIP-134).
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from _missing(item, f"{prefix}{field.name}[{index}].")
        else:
            yield from _missing(value, f"{prefix}{field.name}.")


def _with_nul(message: Message, prefix: str) -> Iterator[str]:
    if not _can_hold_text(message.DESCRIPTOR):
        return
    for field, value in message.ListFields():
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if is_map:
            yield from _map_with_nul(value, prefix + field.name)
        elif field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            continue
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield from _value_with_nul(item, f"{prefix}{field.name}[{index}]")
        else:
            yield from _value_with_nul(value, prefix + field.name)


def _map_with_nul(entries: Mapping[object, object], path: str) -> Iterator[str]:
    for key, value in entries.items():
        # The key itself is not safe to be named.
        yield from _value_with_nul(key, path)
        yield from _value_with_nul(value, f"{path}[{key!r}]")


def _value_with_nul(value: object, path: str) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _with_nul(value, f"{path}.")
    elif isinstance(value, str) and "\0" in value:
        yield path


@cache
def _can_hold_text(descriptor: Descriptor) -> bool:
    """Whether there is anything to look at: a message of numbers and bytes only is passed over."""
    return any(field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE) for field in descriptor.fields)


def _is_set(message: Message, field: FieldDescriptor) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return bool(getattr(message, field.name))


@cache
def _required_fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    required = field_behavior_pb2.FieldBehavior.REQUIRED
    return tuple(
        field
        for field in descriptor.fields
        if required in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    )
