"""Numbers of things, in words."""


def counted(count: int, thing: str) -> str:
    """A number with its noun, such as `1 image` or `2 images`.

    Args:
        count: how many.
        thing: what one of them is called; its plural must end with an s.
    """
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
