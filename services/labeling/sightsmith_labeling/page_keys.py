"""The keys inside page tokens. A token comes back from a client, so its key may be anything."""

from sightsmith.names import check_id
from sightsmith.paging import PageRequest


def id_after(page: PageRequest) -> str | None:
    """The id after which the page begins; None for the first page.

    Raises:
        InvalidArgumentError: naming `page_token`, if the token's key is no id.
    """
    return None if page.after is None else check_id("page_token", page.after)
