"""Which fields an update is about (AIP-134)."""

from collections.abc import Collection, Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from sightsmith.errors import InvalidArgumentError


def updated_fields(resource: Message, mask: FieldMask, allowed: Sequence[str]) -> Collection[str]:
    """The fields to update: those of the mask, or those that are set if there is none.

    Args:
        resource: as the client sent it.
        mask: as the client sent it; `*` stands for every field.
        allowed: the fields that can be updated.

    Raises:
        InvalidArgumentError: if the mask names another field.
    """
    if not mask.paths:
        return {field.name for field, _ in resource.ListFields()} & set(allowed)
    wanted = set(allowed) if "*" in mask.paths else set(mask.paths)
    if unknown := sorted(wanted - set(allowed)):
        rule = f"must name none but {', '.join(allowed)}, not {', '.join(unknown)[:200]}"
        raise InvalidArgumentError.of_field("update_mask", rule)
    return wanted
