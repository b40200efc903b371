"""Which time zone a place is in: a short list of well-known cities, and zones given by name. Data only."""

import re
from typing import Final

_ZONES: Final = {
    "Africa": "Cairo Lagos Nairobi Johannesburg Casablanca",
    "America": "New_York Los_Angeles Chicago Denver Toronto Vancouver Mexico_City Sao_Paulo Bogota Lima Phoenix"
    " Halifax",
    "Asia": "Tokyo Seoul Shanghai Hong_Kong Singapore Dubai Kolkata Bangkok Jakarta Manila Taipei Karachi Riyadh"
    " Tehran Jerusalem Kathmandu Dhaka",
    "Australia": "Sydney Melbourne Perth Brisbane Adelaide",
    "Europe": "London Paris Berlin Madrid Rome Amsterdam Brussels Vienna Zurich Stockholm Oslo Copenhagen Helsinki"
    " Warsaw Prague Budapest Athens Lisbon Dublin Moscow Kyiv Istanbul Bucharest",
    "Pacific": "Auckland Honolulu",
}  # fmt: skip
_CITIES: Final = {
    city.replace("_", " ").lower(): f"{area}/{city}" for area, cities in _ZONES.items() for city in cities.split()
} | {
    "nyc": "America/New_York", "new york city": "America/New_York", "san francisco": "America/Los_Angeles",
    "seattle": "America/Los_Angeles", "boston": "America/New_York", "miami": "America/New_York",
    "washington": "America/New_York", "austin": "America/Chicago", "dallas": "America/Chicago",
    "houston": "America/Chicago", "munich": "Europe/Berlin", "frankfurt": "Europe/Berlin", "hamburg": "Europe/Berlin",
    "milan": "Europe/Rome", "barcelona": "Europe/Madrid", "beijing": "Asia/Shanghai", "delhi": "Asia/Kolkata",
    "new delhi": "Asia/Kolkata", "mumbai": "Asia/Kolkata", "bangalore": "Asia/Kolkata", "osaka": "Asia/Tokyo",
    "kyoto": "Asia/Tokyo", "japan": "Asia/Tokyo", "korea": "Asia/Seoul", "india": "Asia/Kolkata",
    "uk": "Europe/London", "england": "Europe/London", "germany": "Europe/Berlin", "france": "Europe/Paris",
    "utc": "UTC", "gmt": "UTC",
}  # fmt: skip
_NAMED = re.compile(r"^(?:[A-Z][a-z]+/[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_]+)?|UTC)$")


def timezone_of(place: str) -> str | None:
    """The IANA name of the zone `place` is in, or of the zone it names; None if the place is not in the list."""
    if _NAMED.match(place):
        return place
    return _CITIES.get(place.split(",")[0].strip().lower())
