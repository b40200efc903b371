"""Real US cities and some of their zip codes, with a rough price level each, for the generated sample.

Data only. The price levels are typical of the mid-2020s to about a fifth; nothing should be concluded from them.
"""

from typing import Final, NamedTuple

__all__ = ["SAMPLE_CITIES", "SampleCity"]


class SampleCity(NamedTuple):
    """A city in which the sample has listings."""

    name: str
    state: str
    """Two-letter code."""
    price_per_square_foot: int
    """USD."""
    zips: str
    """Separated by spaces."""


SAMPLE_CITIES: Final = (
    SampleCity("Albuquerque", "NM", 205, "87102 87104 87106 87108 87110"),
    SampleCity("Anchorage", "AK", 240, "99501 99503 99504 99507 99508"),
    SampleCity("Ann Arbor", "MI", 285, "48103 48104 48105 48108"),
    SampleCity("Atlanta", "GA", 275, "30305 30306 30307 30308 30312"),
    SampleCity("Austin", "TX", 320, "78701 78702 78703 78704 78745 78751"),
    SampleCity("Baltimore", "MD", 165, "21202 21211 21218 21224 21230"),
    SampleCity("Birmingham", "AL", 140, "35203 35205 35206 35222"),
    SampleCity("Boise", "ID", 300, "83702 83704 83706 83709 83712"),
    SampleCity("Boston", "MA", 720, "02108 02111 02114 02116 02118 02130"),
    SampleCity("Boulder", "CO", 520, "80301 80302 80303 80304"),
    SampleCity("Brooklyn", "NY", 680, "11201 11211 11215 11217 11231 11238"),
    SampleCity("Buffalo", "NY", 155, "14201 14209 14213 14216 14222"),
    SampleCity("Burlington", "VT", 330, "05401 05408"),
    SampleCity("Cambridge", "MA", 790, "02138 02139 02140 02141 02142"),
    SampleCity("Charleston", "SC", 370, "29401 29403 29407 29412 29414"),
    SampleCity("Charlotte", "NC", 255, "28202 28203 28204 28205 28209"),
    SampleCity("Chicago", "IL", 290, "60607 60614 60622 60640 60657"),
    SampleCity("Cincinnati", "OH", 170, "45202 45206 45208 45219 45220"),
    SampleCity("Cleveland", "OH", 115, "44102 44113 44114 44115 44120"),
    SampleCity("Colorado Springs", "CO", 230, "80903 80904 80907 80918 80920"),
    SampleCity("Columbus", "OH", 190, "43201 43202 43206 43214 43215"),
    SampleCity("Dallas", "TX", 270, "75201 75204 75206 75214 75219"),
    SampleCity("Denver", "CO", 375, "80202 80203 80205 80206 80210 80211"),
    SampleCity("Detroit", "MI", 105, "48201 48202 48207 48214 48226"),
    SampleCity("Durham", "NC", 240, "27701 27703 27705 27707 27713"),
    SampleCity("El Paso", "TX", 145, "79901 79902 79912 79925"),
    SampleCity("Fort Worth", "TX", 190, "76102 76104 76107 76109 76110"),
    SampleCity("Fresno", "CA", 245, "93702 93704 93711 93720"),
    SampleCity("Hartford", "CT", 150, "06103 06105 06106 06114"),
    SampleCity("Honolulu", "HI", 640, "96813 96814 96815 96816 96822"),
    SampleCity("Houston", "TX", 200, "77002 77004 77006 77007 77008 77019"),
    SampleCity("Indianapolis", "IN", 150, "46201 46202 46203 46204 46220"),
    SampleCity("Jacksonville", "FL", 190, "32202 32204 32205 32207 32210"),
    SampleCity("Jersey City", "NJ", 540, "07302 07304 07305 07306 07307"),
    SampleCity("Kansas City", "KS", 130, "66101 66102 66103 66104"),
    SampleCity("Kansas City", "MO", 165, "64105 64108 64110 64111 64113"),
    SampleCity("Las Vegas", "NV", 250, "89101 89104 89117 89123 89128"),
    SampleCity("Los Angeles", "CA", 640, "90004 90012 90026 90034 90046 90065"),
    SampleCity("Louisville", "KY", 165, "40202 40203 40204 40205 40206"),
    SampleCity("Madison", "WI", 250, "53703 53704 53705 53711"),
    SampleCity("Memphis", "TN", 125, "38103 38104 38111 38112"),
    SampleCity("Miami", "FL", 480, "33125 33127 33129 33130 33131 33137"),
    SampleCity("Milwaukee", "WI", 155, "53202 53204 53207 53211 53212"),
    SampleCity("Minneapolis", "MN", 230, "55401 55403 55405 55408 55414"),
    SampleCity("Nashville", "TN", 320, "37201 37203 37206 37209 37212"),
    SampleCity("New Orleans", "LA", 205, "70112 70115 70116 70118 70119 70130"),
    SampleCity("New York", "NY", 1180, "10001 10009 10011 10023 10025 10128"),
    SampleCity("Oakland", "CA", 510, "94602 94606 94609 94610 94611"),
    SampleCity("Oklahoma City", "OK", 150, "73102 73103 73106 73112 73118"),
    SampleCity("Omaha", "NE", 175, "68102 68104 68105 68114 68132"),
    SampleCity("Orlando", "FL", 230, "32801 32803 32804 32806"),
    SampleCity("Philadelphia", "PA", 215, "19103 19106 19123 19125 19147"),
    SampleCity("Phoenix", "AZ", 275, "85003 85004 85014 85016 85018 85028"),
    SampleCity("Pittsburgh", "PA", 170, "15201 15203 15206 15213 15217"),
    SampleCity("Portland", "ME", 390, "04101 04102 04103"),
    SampleCity("Portland", "OR", 325, "97202 97209 97211 97214 97217"),
    SampleCity("Providence", "RI", 255, "02903 02904 02906 02908 02909"),
    SampleCity("Raleigh", "NC", 235, "27601 27603 27607 27608 27609"),
    SampleCity("Reno", "NV", 310, "89501 89502 89503 89509 89511"),
    SampleCity("Richmond", "VA", 235, "23220 23221 23223 23226"),
    SampleCity("Sacramento", "CA", 335, "95811 95814 95816 95818 95819"),
    SampleCity("Salt Lake City", "UT", 320, "84102 84103 84105 84106"),
    SampleCity("San Antonio", "TX", 165, "78204 78205 78209 78210 78212"),
    SampleCity("San Diego", "CA", 640, "92101 92103 92104 92109 92116"),
    SampleCity("San Francisco", "CA", 960, "94102 94107 94110 94114 94117 94122"),
    SampleCity("San Jose", "CA", 810, "95112 95125 95126 95128 95136"),
    SampleCity("Savannah", "GA", 225, "31401 31404 31405 31406"),
    SampleCity("Scottsdale", "AZ", 390, "85250 85251 85254 85257"),
    SampleCity("Seattle", "WA", 560, "98103 98105 98109 98115 98122"),
    SampleCity("Spokane", "WA", 220, "99201 99203 99205 99208"),
    SampleCity("Springfield", "IL", 105, "62701 62702 62703 62704"),
    SampleCity("Springfield", "MO", 145, "65802 65804 65806 65807"),
    SampleCity("St. Louis", "MO", 135, "63103 63104 63108 63110"),
    SampleCity("Tacoma", "WA", 310, "98403 98405 98406 98407"),
    SampleCity("Tampa", "FL", 305, "33602 33603 33606 33609 33611"),
    SampleCity("Tucson", "AZ", 205, "85701 85705 85710 85716 85719"),
    SampleCity("Tulsa", "OK", 140, "74103 74104 74105 74114"),
    SampleCity("Washington", "DC", 510, "20001 20002 20003 20007 20009 20016"),
)
