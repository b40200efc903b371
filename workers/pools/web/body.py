"""The body of an answer as text, of which no more is taken than was agreed, however it is compressed.

This module must not know where an answer comes from.
"""

import codecs
import re
import zlib
from collections.abc import AsyncIterable
from typing import Final

from workers.errors import ToolFailed

__all__ = ["ACCEPTED_ENCODING", "body_of", "is_readable", "text_of"]

ACCEPTED_ENCODING: Final = "gzip"

#: For zlib: expect gzip's header.
_GZIP_HEADER: Final = 31

_READABLE = re.compile(
    r"(text/.*|application/(json|xml|xhtml\+xml|javascript|yaml|x-ndjson|rss\+xml|atom\+xml)|.*\+(json|xml))$"
)
_META_CHARSET = re.compile(rb"""<meta[^>]{1,200}?charset=["']?\s*([\w-]{1,40})""", re.IGNORECASE)
#: Character sets of the web. Python has more codecs, some of which take time that grows with the square of a text.
_CHARSETS: Final = ("utf-8", "utf-16", "ascii", "iso8859-", "cp125", "cp932", "koi8-", "gb", "big5", "euc", "shift_jis")


def is_readable(content_type: str) -> bool:
    """Whether a media type is text. No type at all may be."""
    media_type = content_type.partition(";")[0].strip().lower()
    return not media_type or _READABLE.match(media_type) is not None


async def body_of(pieces: AsyncIterable[bytes], *, content_encoding: str, most_bytes: int) -> tuple[bytes, bool]:
    """Collect a body, unpacked, up to `most_bytes`.

    Args:
        pieces: As they come from the network.
        content_encoding: The header's value. One encoding is taken: a bomb in a bomb is no web page.
        most_bytes: The most that is read, and the most that is unpacked.

    Returns:
        The body, and whether it is all of it.

    Raises:
        ToolFailed: it is packed in a way that is not accepted, or broken.
    """
    encoding = content_encoding.strip().lower()
    if encoding not in ("", "identity", ACCEPTED_ENCODING):
        raise ToolFailed(f"The page is packed in a way that is not accepted: {encoding[:40]!r}.")
    unpacker = None if encoding in ("", "identity") else zlib.decompressobj(_GZIP_HEADER)
    body = bytearray()
    read = 0
    async for piece in pieces:
        read += len(piece)
        if unpacker is not None:
            try:
                piece = unpacker.decompress(piece, most_bytes + 1 - len(body))
            except zlib.error as error:
                raise ToolFailed("The page is packed, and broken.") from error
        body += piece
        if len(body) > most_bytes or read > most_bytes:
            return bytes(body[:most_bytes]), False
    return bytes(body), unpacker is None or unpacker.eof


def text_of(body: bytes, *, charset: str | None) -> str:
    """The body as text: by the header's charset, a page's own, or UTF-8. What does not fit becomes `\\ufffd`."""
    in_page = _META_CHARSET.search(body[:2048])
    for name in (charset, in_page[1].decode("ascii") if in_page else None):
        try:
            codec = codecs.lookup(name or "").name
        except (LookupError, ValueError):
            continue
        if codec.startswith(_CHARSETS):
            return body.decode(codec, errors="replace")
    return body.decode("utf-8", errors="replace")
