"""The elements of large JSON files, one after the other, each within a limit.

A parser of events would hold a long string or a long list of numbers whole, however long. Here a file is read in
pieces, and no more of it is held than a piece and the longest element that is accepted.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from sightsmith_labeling.formats.records import FormatError, Place

_PIECE = 256 * 1024
_DECODER = json.JSONDecoder()
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_BRACKET_OR_QUOTE = re.compile(r'["{}\[\]]')
_QUOTE_OR_ESCAPE = re.compile(r'["\\]')
_ANY_CHARACTER = re.compile(r".", re.DOTALL)
# What stands at the end of the text may be the beginning of something sound: the longest is an escaped surrogate pair.
_LONGEST_TOKEN = len(r"\ud800\udc00")
_TOO_LONG = object()


class Element(NamedTuple):
    """An element of a list.

    Attributes:
        list_name: the key of the list in the outermost object; empty if the file is a list itself.
        position: counted from 0.
        value: None if the element is longer than what is accepted.
        is_too_long: whether it is.
    """

    list_name: str
    position: int
    value: Any
    is_too_long: bool = False

    @property
    def path(self) -> str:
        """Where it stands, as in `annotations[3]`."""
        return f"{self.list_name}[{self.position}]"


def elements(file: BinaryIO, name: str, max_characters: int) -> Iterator[Element]:
    """Reads the elements of the lists in a file: those of the outermost list, or of every list in the outermost object.

    Args:
        file: UTF-8, with or without a byte order mark.
        name: of the file, for errors.
        max_characters: longest element that is decoded; longer ones are skipped over.

    Yields:
        The elements in the order of the file.

    Raises:
        FormatError: if the file is no JSON, or no list and no object.
    """
    reader = _Reader(file, name, max_characters)
    first = reader.next_character()
    if first == "[":
        yield from reader.list_elements("")
    elif first == "{":
        yield from _elements_of_object(reader)
    else:
        raise reader.error("the file is neither a JSON object nor a list")
    if reader.next_character():
        raise reader.error("something follows the end of the JSON value")


def _elements_of_object(reader: "_Reader") -> Iterator[Element]:
    reader.take("{")
    if reader.taken("}"):
        return
    while True:
        key = reader.value()
        if not isinstance(key, str):
            raise reader.error("the name of a member is missing")
        reader.take(":")
        if reader.next_character() == "[":
            yield from reader.list_elements(key)
        else:
            reader.skip()
        if not reader.taken(","):
            break
    reader.take("}")


class _Reader:
    """The text of a file, of which only the part that is being read is held."""

    def __init__(self, file: BinaryIO, name: str, max_characters: int) -> None:
        self._file = file
        self._name = name
        self._max_characters = max_characters
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text = ""
        self._at = 0

    def error(self, message: str) -> FormatError:
        return FormatError("ERROR_INVALID_JSON", f"{self._name} is not valid JSON: {message}", Place(self._name))

    def next_character(self) -> str:
        """The next character that is no white space, without taking it; empty at the end."""
        while True:
            found = _NO_SPACE.search(self._text, self._at)
            if found is not None:
                self._at = found.start()
                return found.group()
            self._at = len(self._text)
            if not self._read_on():
                return ""

    def taken(self, character: str) -> bool:
        """Takes a character if it is the next one."""
        if self.next_character() != character:
            return False
        self._at += 1
        return True

    def take(self, character: str) -> None:
        """Takes the next character, which must be this one."""
        if not self.taken(character):
            found = self._text[self._at : self._at + 1]
            raise self.error(f"{character!r} is expected, not {found!r}" if found else f"it ends before {character!r}")

    def list_elements(self, list_name: str) -> Iterator[Element]:
        """Takes a list, element by element."""
        self.take("[")
        if self.taken("]"):
            return
        position = 0
        while True:
            value = self._decoded()
            if value is _TOO_LONG:
                yield Element(list_name, position, None, is_too_long=True)
            else:
                yield Element(list_name, position, value)
            position += 1
            if not self.taken(","):
                break
        self.take("]")

    def value(self) -> Any:
        """Takes a value that must not be too long."""
        value = self._decoded()
        if value is _TOO_LONG:
            raise self.error(f"a value has more than {self._max_characters} characters")
        return value

    def skip(self) -> None:
        """Takes a value of any length and drops it."""
        self._decoded()

    def _decoded(self) -> Any:
        """Takes a value; `_TOO_LONG` stands for one that is longer than what is accepted."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_be_cut_off(error):
                    raise self.error(error.msg) from error
                problem = error.msg
            except RecursionError as error:
                raise self.error("values are too deep within each other") from error
            except ValueError as error:  # Python refuses whole numbers of thousands of digits.
                raise self.error(str(error)) from error
            else:
                # A number may go on in the next piece: after `1e+` it takes one more character to know.
                length = end - self._at
                is_certain = not isinstance(value, int | float) or end + len("e+") < len(self._text)
                if is_certain or not self._read_on():
                    self._at += length
                    return _TOO_LONG if length > self._max_characters else value
                continue
            if len(self._text) - self._at > self._max_characters:
                self._skip_over()
                return _TOO_LONG
            if not self._read_on():
                raise self.error(problem)

    def _may_be_cut_off(self, error: json.JSONDecodeError) -> bool:
        """Whether a value may be sound and only end beyond the text that is held."""
        return error.msg.startswith("Unterminated string") or error.pos > len(self._text.rstrip()) - _LONGEST_TOKEN

    def _skip_over(self) -> None:
        """Takes a value that is too long to be held, by its brackets and quotes alone."""
        if self.next_character() not in set('"{['):
            raise self.error(f"a number has more than {self._max_characters} digits")
        depth = 0
        while True:
            depth += {'"': 0, "{": 1, "[": 1, "}": -1, "]": -1}[self._skip_past(_BRACKET_OR_QUOTE)]
            if self._text[self._at - 1] == '"':
                self._skip_rest_of_string()
            if depth == 0:
                return

    def _skip_rest_of_string(self) -> None:
        while self._skip_past(_QUOTE_OR_ESCAPE) == "\\":
            self._skip_past(_ANY_CHARACTER)

    def _skip_past(self, wanted: re.Pattern[str]) -> str:
        """Drops everything up to a character, which is taken."""
        while (found := wanted.search(self._text, self._at)) is None:
            self._at = len(self._text)
            if not self._read_on():
                raise self.error("it ends in the middle of a value")
        self._at = found.end()
        return found.group()

    def _read_on(self) -> bool:
        """Adds the next piece to the text and drops what was taken; says whether there was one."""
        piece = self._file.read(_PIECE)
        try:
            more = self._decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise FormatError("ERROR_INVALID_ENCODING", f"{self._name} is not UTF-8", Place(self._name)) from error
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(piece)
