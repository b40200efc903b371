"""The SQL of the property pool, each statement for SQLite and PostgreSQL alike. Values are bound, never spelled in.

A parameter that is NULL does not narrow; the CAST around it tells PostgreSQL its type. This module must not know how
statements are run.
"""

from typing import Final

#: The table, and the indexes for the two ways of narrowing by place. An operator's own table needs these columns.
TABLE: Final = (
    """
    CREATE TABLE IF NOT EXISTS properties (
        id TEXT PRIMARY KEY,
        address TEXT NOT NULL,
        city TEXT NOT NULL,
        state TEXT NOT NULL,
        zip TEXT NOT NULL,
        property_type TEXT NOT NULL,
        price INTEGER NOT NULL,
        bedrooms INTEGER NOT NULL,
        bathrooms DOUBLE PRECISION NOT NULL,
        square_feet INTEGER NOT NULL,
        lot_square_feet INTEGER,
        year_built INTEGER,
        monthly_fee INTEGER,
        days_on_market INTEGER NOT NULL,
        source TEXT NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS properties_by_city ON properties (lower(city), state)",
    "CREATE INDEX IF NOT EXISTS properties_by_zip ON properties (zip)",
)

#: One row if the table has any.
ANY_LISTING: Final = "SELECT 1 AS found FROM properties LIMIT 1"

#: One row if a place has any.
ANY_LISTING_IN_PLACE: Final = """
    SELECT 1 AS found
    FROM properties
    WHERE (CAST(:city AS TEXT) IS NULL OR lower(city) = :city)
        AND (CAST(:state AS TEXT) IS NULL OR state = :state)
        AND (CAST(:zip AS TEXT) IS NULL OR zip = :zip)
    LIMIT 1
"""

#: Adds a listing.
ADD_LISTING: Final = """
    INSERT INTO properties (
        id, address, city, state, zip, property_type, price, bedrooms, bathrooms,
        square_feet, lot_square_feet, year_built, monthly_fee, days_on_market, source
    ) VALUES (
        :id, :address, :city, :state, :zip, :property_type, :price, :bedrooms, :bathrooms,
        :square_feet, :lot_square_feet, :year_built, :monthly_fee, :days_on_market, :source
    )
"""

#: One listing, whole.
LISTING: Final = "SELECT * FROM properties WHERE id = :id"

#: Listings in a place that fit the filters, the cheapest first, each with how many there are in all.
SEARCH: Final = """
    SELECT id, address, city, state, zip, property_type, price, bedrooms, bathrooms, square_feet, days_on_market,
        source, COUNT(*) OVER () AS total
    FROM properties
    WHERE (CAST(:city AS TEXT) IS NULL OR lower(city) = :city)
        AND (CAST(:state AS TEXT) IS NULL OR state = :state)
        AND (CAST(:zip AS TEXT) IS NULL OR zip = :zip)
        AND (CAST(:min_price AS DOUBLE PRECISION) IS NULL OR price >= :min_price)
        AND (CAST(:max_price AS DOUBLE PRECISION) IS NULL OR price <= :max_price)
        AND (CAST(:property_type AS TEXT) IS NULL OR property_type = :property_type)
        AND (CAST(:bedrooms AS INTEGER) IS NULL OR bedrooms >= :bedrooms)
    ORDER BY price, id
    LIMIT :limit
"""

#: The figures of a place. A median is the mean of the one or two rows in the middle.
FIGURES: Final = """
    WITH chosen AS (
        SELECT price, days_on_market, source, 1.0 * price / NULLIF(square_feet, 0) AS per_square_foot
        FROM properties
        WHERE (CAST(:city AS TEXT) IS NULL OR lower(city) = :city)
            AND (CAST(:state AS TEXT) IS NULL OR state = :state)
            AND (CAST(:zip AS TEXT) IS NULL OR zip = :zip)
    ),
    ranked AS (
        SELECT price, days_on_market, source, per_square_foot,
            ROW_NUMBER() OVER (ORDER BY price) AS by_price,
            ROW_NUMBER() OVER (ORDER BY per_square_foot) AS by_area,
            ROW_NUMBER() OVER (ORDER BY days_on_market) AS by_days,
            COUNT(*) OVER () AS total
        FROM chosen
    )
    SELECT COUNT(*) AS listings,
        MIN(price) AS lowest_price,
        MAX(price) AS highest_price,
        CAST(ROUND(AVG(price)) AS INTEGER) AS average_price,
        CAST(ROUND(AVG(CASE WHEN by_price IN ((total + 1) / 2, (total + 2) / 2) THEN price END)) AS INTEGER)
            AS median_price,
        CAST(ROUND(AVG(CASE WHEN by_area IN ((total + 1) / 2, (total + 2) / 2) THEN per_square_foot END)) AS INTEGER)
            AS median_price_per_square_foot,
        CAST(ROUND(AVG(CASE WHEN by_days IN ((total + 1) / 2, (total + 2) / 2) THEN days_on_market END)) AS INTEGER)
            AS median_days_on_market,
        MIN(source) AS source
    FROM ranked
"""

#: How many listings of each type a place has, and at which price.
FIGURES_BY_TYPE: Final = """
    SELECT property_type, COUNT(*) AS listings, CAST(ROUND(AVG(price)) AS INTEGER) AS average_price
    FROM properties
    WHERE (CAST(:city AS TEXT) IS NULL OR lower(city) = :city)
        AND (CAST(:state AS TEXT) IS NULL OR state = :state)
        AND (CAST(:zip AS TEXT) IS NULL OR zip = :zip)
    GROUP BY property_type
    ORDER BY listings DESC, property_type
"""

#: The zip codes of a place with the most listings, and their prices.
FIGURES_BY_ZIP: Final = """
    SELECT zip, COUNT(*) AS listings, CAST(ROUND(AVG(price)) AS INTEGER) AS average_price
    FROM properties
    WHERE (CAST(:city AS TEXT) IS NULL OR lower(city) = :city)
        AND (CAST(:state AS TEXT) IS NULL OR state = :state)
        AND (CAST(:zip AS TEXT) IS NULL OR zip = :zip)
    GROUP BY zip
    ORDER BY listings DESC, zip
    LIMIT :limit
"""

#: Every city with a listing, for hints.
CITIES: Final = "SELECT DISTINCT city, state FROM properties ORDER BY city, state"

#: Zip codes that begin like the wanted one, for hints.
ZIPS_NEARBY: Final = """
    SELECT DISTINCT zip FROM properties WHERE substr(zip, 1, 3) = substr(:zip, 1, 3) ORDER BY zip LIMIT :limit
"""
