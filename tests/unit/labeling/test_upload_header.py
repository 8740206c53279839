import pytest

from sightsmith_labeling.uploads.header import HeaderLimits, ImageHeader, header_violations

LIMITS = HeaderLimits(max_source_length=20, max_label_length=10, max_labels=4)


def fields(source: str = "a.jpg", labels: tuple[str, ...] = ()) -> list[str]:
    return [violation.field for violation in header_violations(ImageHeader(source, labels), LIMITS)]


@pytest.mark.parametrize(
    ("source", "labels"),
    [
        ("a.jpg", ()),
        ("x" * 20, ("x" * 10,)),
        ("ordner/bär 🐻\n.jpg", ("Bär", "🐻", "two words", "a/b")),
        ("a.jpg", ("cat", "Cat", " cat")),
    ],
)
def test_accepts(source: str, labels: tuple[str, ...]) -> None:
    assert fields(source, labels) == []


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        (("cat", ""), ["labels[1]"]),
        (("cat", " \t"), ["labels[1]"]),
        (("x" * 11,), ["labels[0]"]),
        (("cat", "dog", "cat"), ["labels[2]"]),
        (("a\nb", "a\x00b", "a\x7fb", "a\u2028b"), ["labels[0]", "labels[1]", "labels[2]", "labels[3]"]),
        (tuple("abcde"), ["labels"]),
    ],
)
def test_names_each_label_that_is_wrong(labels: tuple[str, ...], wrong: list[str]) -> None:
    assert fields(labels=labels) == wrong


@pytest.mark.parametrize("source", ["x" * 21, "a\x00b"])
def test_refuses_sources_that_cannot_be_kept(source: str) -> None:
    assert fields(source, ("",)) == ["source", "labels[0]"]


def test_says_which_label_a_duplicate_repeats() -> None:
    (violation,) = header_violations(ImageHeader("a.jpg", ("cat", "dog", "cat")), LIMITS)
    assert violation.description == "is the same as labels[0]"
