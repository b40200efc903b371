"""The web pool: `fetch_url`, which brings a public web page as text and cannot be led anywhere else.

`tools` hands a URL to `fetch`, which follows redirects through `transport`; that connects only to what `addresses`
allows. `body` takes what comes, up to a size, and `page` makes text of HTML.
"""

from workers.pools.web.tools import fetch_url

__all__ = ["fetch_url"]
