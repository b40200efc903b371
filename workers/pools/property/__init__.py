"""The property pool: `search_properties`, `get_property` and `neighborhood_stats`, over a table of listings.

`tools` asks `listings`, which reads the location by `place`, runs `statements` on the database and answers with
`results`. Without a database of the operator's own, `sample` generates listings in `sample_cities`.
"""

from workers.pools.property.tools import get_property, neighborhood_stats, search_properties

__all__ = ["get_property", "neighborhood_stats", "search_properties"]
