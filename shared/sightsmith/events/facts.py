"""Making events, and the subjects on which they travel."""

import uuid

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from sightsmith.api.events.v1.event_pb2 import Event
from sightsmith.database import utc_now
from sightsmith.logs import current_request_id

SUBJECT_PREFIX = "sightsmith.events"


def event_of(fact: Message) -> Event:
    """Wraps a fact into an event of its own id, time and request."""
    time = Timestamp()
    time.FromDatetime(utc_now())
    event = Event(id=str(uuid.uuid4()), event_time=time, request_id=current_request_id())
    getattr(event, _field_of(fact)).CopyFrom(fact)
    return event


def subject_of(event: Event) -> str:
    """The NATS subject of an event, such as `sightsmith.events.snapshot.created`."""
    thing, _, verb = str(event.WhichOneof("fact")).rpartition("_")
    return f"{SUBJECT_PREFIX}.{thing}.{verb}"


def _field_of(fact: Message) -> str:
    for field in Event.DESCRIPTOR.oneofs_by_name["fact"].fields:
        if field.message_type is fact.DESCRIPTOR:
            return str(field.name)
    raise TypeError(f"{fact.DESCRIPTOR.full_name} is not a fact of Event")
