"""`python -m workers.pools.property`: puts the table of listings and the sample into the database of the settings.

Needed for PostgreSQL only, and once. A table that has listings keeps them as they are.
"""

from workers.pools.property.listings import open_listings
from workers.pools.property.sample import load_sample

if __name__ == "__main__":
    load_sample(open_listings().database)
