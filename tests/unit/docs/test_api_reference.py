"""The API reference says what the protos say now."""

from docs.generate_api_reference import REFERENCE, render_reference


def test_the_committed_reference_is_what_the_protos_give_now() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render_reference(), "docs/api.md is out of date: run `make docs`"
