"""A typed Python client.

    from sightsmith.client import Client

    with Client.connect() as sightsmith:
        answer = sightsmith.predict("shop", "live", image_bytes)

What it returns are the API's own messages (`sightsmith.api`); what goes wrong is a `SightsmithError` with a stable
`reason`.
"""

from sightsmith.client.client import Client
from sightsmith.client.connection import Connection, ConnectionNotFoundError
from sightsmith.client.uploads import ImageToUpload
from sightsmith.errors import SightsmithError

__all__ = ["Client", "Connection", "ConnectionNotFoundError", "ImageToUpload", "SightsmithError"]
