"""Pages and their tokens."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.errors import InvalidArgumentError
from sightsmith.paging import MAX_PAGE_SIZE, PageRequest, page_of


@given(st.lists(st.integers(min_value=1, max_value=10**18 - 1), unique=True), st.integers(min_value=1, max_value=10))
def test_pages_put_together_are_the_whole_list(keys: list[int], size: int) -> None:
    keys.sort()
    seen: list[int] = []
    token = ""
    while True:
        request = PageRequest.parse(size, token)
        rest = [key for key in keys if request.after is None or key > request.after_number]
        items, token = page_of(rest[: request.size + 1], request, lambda key: key)
        seen += items
        if not token:
            break
    assert seen == keys


def test_sizes_have_a_default_and_a_limit() -> None:
    assert PageRequest.parse(0, "").size == 100
    assert PageRequest.parse(10**6, "").size == MAX_PAGE_SIZE
    with pytest.raises(InvalidArgumentError, match="page_size"):
        PageRequest.parse(-1, "")


@pytest.mark.parametrize("key", ["\0", "\ud800"])
def test_keys_that_no_database_takes_are_refused(key: str) -> None:
    token = base64.urlsafe_b64encode(json.dumps([key]).encode()).decode()
    with pytest.raises(InvalidArgumentError, match="page_token"):
        PageRequest.parse(1, token)


@given(st.text(min_size=1))
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError, match="page_token"):
        PageRequest.parse(1, token)
