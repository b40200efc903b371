"""The readable text of an HTML page: without scripts, styles and markup. Pure, and bounded in time.

Python's own parser takes time that grows with the square of what it cannot make sense of, so a page is fed to it in
pieces, and in between a deadline and the length of the unfinished tag are looked at. It is never asked to finish: that
is where the worst pages do their harm.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

__all__ = ["Page", "read_page"]

_PIECE_CHARACTERS: Final = 32_768
#: A longer tag is no tag. Some carry a whole image in an attribute.
_LONGEST_TAG_CHARACTERS: Final = 262_144

_UNREADABLE: Final = frozenset({"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "canvas"})
_BLOCK_NAMES: Final = (
    "address article aside blockquote br dd details dialog div dl dt fieldset figcaption figure footer form h1 h2 h3 "
    "h4 h5 h6 header hr li main nav ol option p pre section summary table td th tr ul"
)
_BLOCKS: Final = frozenset(_BLOCK_NAMES.split())
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")


@dataclass(frozen=True, slots=True)
class Page:
    """What a person would read."""

    title: str | None
    text: str
    """One line for each block, without empty lines."""
    complete: bool
    """Whether all of the page was read."""


def read_page(html: str, *, most_characters: int, out_of_time: Callable[[], bool]) -> Page:
    """Read a page until it ends, the text is long enough, or time is up.

    Args:
        html: The page.
        most_characters: The text is cut there.
        out_of_time: Asked between pieces.
    """
    reader = _Reader()
    complete = True
    for start in range(0, len(html), _PIECE_CHARACTERS):
        if out_of_time() or reader.lost or reader.characters > 4 * most_characters:
            complete = False
            break
        reader.feed(html[start : start + _PIECE_CHARACTERS])
    text = _tidied("".join(reader.pieces))
    title = _tidied("".join(reader.title_pieces)).replace("\n", " ")[:300]
    return Page(title or None, text[:most_characters], complete and len(text) <= most_characters)


class _Reader(HTMLParser):
    """Collects the text outside of what nobody reads."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.title_pieces: list[str] = []
        self.characters = 0
        self._unreadable: str | None = None
        self._depth = 0
        self._in_title = False

    @property
    def lost(self) -> bool:
        """Whether it goes on collecting a tag that does not end. Inside a script it collects too, but at no cost."""
        return self.cdata_elem is None and len(self.rawdata) > _LONGEST_TAG_CHARACTERS

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unreadable is not None:
            self._depth += tag == self._unreadable
        elif tag in _UNREADABLE:
            self._unreadable, self._depth = tag, 1
        elif tag == "title":
            self._in_title = True
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNREADABLE:
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._unreadable is not None:
            self._depth -= tag == self._unreadable
            if self._depth == 0:
                self._unreadable = None
        elif tag == "title":
            self._in_title = False
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._unreadable is not None:
            return
        (self.title_pieces if self._in_title else self.pieces).append(data)
        self.characters += len(data)


def _tidied(text: str) -> str:
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()
