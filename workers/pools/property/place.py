"""What a location that somebody typed may mean: a zip code, a city, a city in a state, or a state.

Pure. It must not know which places have listings: it gives the readings in their order of likelihood, and the first
that has listings is meant. So `New York` is the city, and the state where a database has no listings in the city.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

__all__ = ["Place", "near_matches", "readings"]

_STATE_NAMES: Final = (
    "AL Alabama, AK Alaska, AZ Arizona, AR Arkansas, CA California, CO Colorado, CT Connecticut, DE Delaware, "
    "DC District of Columbia, FL Florida, GA Georgia, HI Hawaii, ID Idaho, IL Illinois, IN Indiana, IA Iowa, "
    "KS Kansas, KY Kentucky, LA Louisiana, ME Maine, MD Maryland, MA Massachusetts, MI Michigan, MN Minnesota, "
    "MS Mississippi, MO Missouri, MT Montana, NE Nebraska, NV Nevada, NH New Hampshire, NJ New Jersey, "
    "NM New Mexico, NY New York, NC North Carolina, ND North Dakota, OH Ohio, OK Oklahoma, OR Oregon, "
    "PA Pennsylvania, RI Rhode Island, SC South Carolina, SD South Dakota, TN Tennessee, TX Texas, UT Utah, "
    "VT Vermont, VA Virginia, WA Washington, WV West Virginia, WI Wisconsin, WY Wyoming"
)
_NAME_OF_STATE: Final = {entry[:2]: entry[3:] for entry in _STATE_NAMES.split(", ")}
_CODE_OF_STATE: Final = {name.casefold(): code for code, name in _NAME_OF_STATE.items()} | {
    code.casefold(): code for code in _NAME_OF_STATE
}

_ALSO_KNOWN_AS: Final = {
    "manhattan": "new york, ny",
    "new york city": "new york, ny",
    "nyc": "new york, ny",
    "philly": "philadelphia, pa",
    "sf": "san francisco, ca",
    "vegas": "las vegas, nv",
}
_SPELLINGS_OF_FIRST_WORD: Final = {
    word: spellings
    for spellings in (("st.", "saint", "st"), ("ft.", "fort", "ft"), ("mt.", "mount", "mt"))
    for word in spellings
}

_ZIP = re.compile(r"\b(\d{5})(?:-\d{4})?$")
_COUNTRY = re.compile(r"[ ,]+(usa?|u\.s\.a?\.|united states( of america)?)$")
_WORD_STATE = re.compile(r" state$")


@dataclass(frozen=True, slots=True)
class Place:
    """One reading of a location. What is None does not narrow it."""

    city: str | None = None
    """In lower case."""
    state: str | None = None
    """Two-letter code."""
    zip: str | None = None

    @property
    def label(self) -> str:
        """The place in words, such as `Austin, TX`, `all of Texas` or `78701`."""
        if self.zip is not None:
            return self.zip
        if self.city is None:
            return f"all of {_NAME_OF_STATE.get(self.state or '', 'the country')}"
        city = " ".join(word.capitalize() for word in self.city.split(" "))
        return city if self.state is None else f"{city}, {self.state}"


def readings(location: str) -> list[Place]:
    """What `location` may mean, the likeliest first. Case, spare spaces and a country at the end do not matter."""
    text = _COUNTRY.sub("", " ".join(location.casefold().split()).strip(" ,"))
    text = _ALSO_KNOWN_AS.get(text, text)
    if match := _ZIP.search(text):
        return [Place(zip=match[1])]
    if len(text) == 2 and text in _CODE_OF_STATE:
        return [Place(state=_CODE_OF_STATE[text])]
    places = [Place(city=city, state=state) for before, state in _splits(text) for city in _spellings(before)]
    places += [Place(city=city) for city in _spellings(text.partition(",")[0].strip())]
    state_name = _WORD_STATE.sub("", text)
    if state_name in _CODE_OF_STATE:
        state = Place(state=_CODE_OF_STATE[state_name])
        places = [state, *places] if state_name != text else [*places, state]
    return list(dict.fromkeys(place for place in places if place.city != ""))


def near_matches(location: str, known: Iterable[tuple[str, str]], *, limit: int = 5) -> list[str]:
    """Known cities and their states that are spelled like `location`, as `City, ST`; the nearest first.

    Args:
        location: What somebody typed.
        known: City and two-letter code of its state.
        limit: At most so many.
    """
    wanted = _COUNTRY.sub("", " ".join(location.casefold().split()).strip(" ,"))
    labels: dict[str, list[str]] = {}
    for city, state in known:
        label = f"{city}, {state}"
        for key in {city.casefold(), label.casefold()}:
            labels.setdefault(key, []).append(label)
        if state in _NAME_OF_STATE:
            labels.setdefault(_NAME_OF_STATE[state].casefold(), []).append(_NAME_OF_STATE[state])
    close = get_close_matches(wanted, labels, n=limit, cutoff=0.7)
    return list(dict.fromkeys(label for key in close for label in labels[key]))[:limit]


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Where `text` ends in a state, what stands before it and the state's code: `austin tx`, `austin, texas`."""
    words = text.replace(",", " , ").split()
    for at in range(1, len(words)):
        state = _CODE_OF_STATE.get(" ".join(words[at:]).strip(" ,"))
        if state is not None:
            yield " ".join(words[:at]).strip(" ,"), state


def _spellings(city: str) -> list[str]:
    """`saint louis`, `st louis` and `st. louis` for any of them."""
    first, _, rest = city.partition(" ")
    if not rest:
        return [city]
    return [f"{spelling} {rest}" for spelling in _SPELLINGS_OF_FIRST_WORD.get(first, (first,))]
