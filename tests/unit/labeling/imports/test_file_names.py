import unicodedata
from posixpath import splitext

from hypothesis import given
from hypothesis import strategies as st

from sightsmith_labeling.exports.file_names import FileNames

SOURCES = st.lists(st.text(max_size=60) | st.sampled_from(["a/b.jpg", "A/B.JPG", "CON", "../x.png", "s3://b/x.png"]))


def test_good_names_stay() -> None:
    names = FileNames()
    assert names.give("photos/cat 1.jpg", "image/jpeg") == "photos/cat 1.jpg"
    assert names.give("photos/cat 1.jpg", "image/jpeg") == "photos/cat 1-2.jpg"
    assert names.give("photos/cat 1.png", "image/png") == "photos/cat 1-3.png"
    assert names.give("photos/cat 1-2.jpg", "image/jpeg") == "photos/cat 1-2-2.jpg"
    assert names.give("s3://bucket/deep/down/dog.png", "image/png") == "deep/down/dog.png"


def test_bad_names_are_mended() -> None:
    names = FileNames()
    assert names.give("../../etc/passwd", "image/png") == "etc/passwd.png"
    assert names.give("C:\\temp\\x?.jpg", "image/jpeg") == "C_/temp/x_.jpg"
    assert names.give("", None) == "image.jpg"
    assert names.give("aux.jpg", "image/jpeg") == "_aux.jpg"


@given(SOURCES)
def test_names_are_safe_and_no_two_alike(sources: list[str]) -> None:
    names = FileNames()
    given_names = [names.give(source, "image/jpeg") for source in sources]
    folded = {unicodedata.normalize("NFKC", splitext(name)[0]).casefold() for name in given_names}
    assert len(folded) == len(sources)
    for name in given_names:
        for part in name.split("/"):
            assert part not in ("", ".", "..")
            assert len(part.encode()) <= 255
            assert not set(part) & set('<>:"|?*\\\0\n')


def test_many_of_one_name_do_not_take_ever_longer() -> None:
    names = FileNames()
    given_names = [names.give("image.jpg", "image/jpeg") for _ in range(20_000)]
    assert given_names[-1] == "image-20000.jpg"
    assert len(set(given_names)) == len(given_names)
