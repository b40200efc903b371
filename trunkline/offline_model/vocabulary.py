"""The English this model knows: plain word lists, and nothing that decides.

Everything here is data that bridges how people ask and how tools are named. It must not name any particular tool.
"""

from functools import lru_cache
from typing import Final

from trunkline.offline_model.words import stem, stem_set, word_set

#: Words that say nothing about what is wanted. Lower case, as written.
STOP_WORDS: Final = word_set("""
    a an the this that these those it its it's them they their there here i i'm i'd i'll i've me my mine myself we us
    our you your yours he him his she her who whom whose what which when where why how is are am was were be been being
    do does did don't doesn't didn't done have has had having can can't could couldn't will won't would wouldn't shall
    should may might must let let's lets please kindly thanks thank hey hi hello ok okay yes no not nor and or but if
    then than so also too as at by for from in into of off on onto out over per to toward up upon with within without
    via about above after again against around before below between during each every any all both few more most other
    some such only own same just now well very really quite maybe perhaps actually possible possibly like want wants
    need needs wish hope try go ahead sure right great nice good fine cool bit lot lots kind sort way thing things
    something anything everything someone anyone one ones me mean means want's i’m going gonna got get gets getting
    give gives given gave tell tells told know knows say says said show shows shown see ask help helps make makes look
    looks using use used able first next finally last because since until while though much many there's else
    currently today's afterwards later soon under below near
    """)

#: Verbs of asking, which say that something is wanted but not what: stems.
ASKING_VERBS: Final = stem_set("""
    get fetch find search look lookup retrieve query list show tell give calculate compute determine estimate check
    read load display work what is can will do run make let see want need know use perform execute evaluate process
    handle
    """)

#: Of those, the ones so common that even a tool named by them alone is not meant.
EMPTY_VERBS: Final = stem_set("get tell give make do run let see want need know use can will is what work perform")

#: Nouns too general to tell one tool from another: stems.
WEAK_NOUNS: Final = stem_set("""
    text string number value data info information current tool function item result detail details name api object
    list array input output content type new for by to of and the from with in on a an or at as is it its all one two
    given return returns returned user based specific provide provides optional default parameter example e g etc i
    please must should can will be are that this which when if per any each only not no more than into using used
    amount total simple sample demo test my your single multiple several some other also available full short long
    time now today good help plain real like
    """)

#: Names for one thing: a word of a request matches a tool's word of the same line, a little weaker than itself.
_SYNONYM_LINES: Final = """
weather forecast temperature rain raining snow snowing sunny umbrella climate windy humidity
home house property apartment flat listing realty estate residence
area neighborhood district
mortgage loan
payment instalment installment
email mail e-mail
message sms dm email mail text
page website webpage site web url link internet online
search lookup find seek hunt
look find
time clock hour
dice die
reverse backwards backward flip invert
uppercase capital caps upper shout
lowercase lower
add sum plus total addition + add_up
subtract minus difference deduct less
multiply times product * × x multiplied
divide divided quotient / ÷ over division
power exponent raised ^
average mean
define definition meaning mean
stock share ticker equity
buy purchase
delete remove erase drop trash discard
create make add new open take
schedule book arrange reserve plan set_up
viewing visit tour showing inspection
appointment meeting event calendar
reminder remind
note memo
task todo to-do
update change modify edit set mark
docs documentation manual
run execute
cancel call_off abort
summarize summary summarise shorten tldr gist
translate translation say
convert conversion exchange change turn
currency money dollars euros exchange fx forex
distance far miles kilometers
random arbitrary
joke funny
greet greeting hello hi welcome
afford affordability
price cost quote worth expensive
income salary earn earning earnings wage wages
debt owe obligation
people person guest attendee participant party passenger traveller traveler seat adult diner
duration long
city town location place
recipe cook dish cooking
music song track play
film movie
flight fly plane airline
hotel room stay accommodation
restaurant table dinner eat
user account profile
ticket issue bug case
file document
directory folder
image picture photo
count many tally
word vocabulary
length character chars letter digit
news headline headlines article articles
count number_of
rate percent interest
capital capital
light lamp lights bulb
invoice bill
pay settle
customer client
employee staff worker
order purchase
calculate compute evaluate math arithmetic
calculator math arithmetic compute calculate
statistic demographics overview profile market
spell spelling
palindrome palindromic
birthday birth
holiday vacation
age old
tip gratuity
temperature degree degrees
""".strip().splitlines()

SYNONYMS: Final[dict[str, frozenset[int]]] = {}
for _number, _line in enumerate(_SYNONYM_LINES):
    for _word in _line.split():
        _key = stem(_word)
        SYNONYMS[_key] = SYNONYMS.get(_key, frozenset()) | {_number}

#: Turns of phrase and the stem they stand for.
PHRASES: Final[dict[tuple[str, ...], str]] = {
    tuple(phrase.split()): stem(meaning)
    for phrase, meaning in {
        "look up": "search",
        "square root": "sqrt",
        "how far": "distance",
        "how many": "count",
        "how old": "age",
        "how much": "price",
        "how long": "duration",
        "how do you say": "translate",
        "how do i say": "translate",
        "how would you say": "translate",
        "what time": "time",
        "upper case": "uppercase",
        "lower case": "lowercase",
        "all caps": "uppercase",
        "to do": "todo",
        "divided by": "divide",
        "multiplied by": "multiply",
        "to the power": "power",
        "set up": "schedule",
        "get rid of": "delete",
        "turn on": "switch",
        "turn off": "switch",
        "say hello": "greet",
        "say hi": "greet",
        "let know": "notify",
        "e mail": "email",
        "heads or tails": "coin",
    }.items()
}

#: Verbs whose tool changes something outside: stems. Such a tool is called only when the text asks for the act.
EFFECT_VERBS: Final = stem_set("""
    send schedule book delete remove create update cancel pay transfer buy purchase order post publish write email mail
    notify submit reserve deploy restart reboot kill stop start drop reset archive upload refund charge invite approve
    reject move rename edit modify enable disable turn lock unlock erase wipe place sell trade withdraw deposit register
    unregister subscribe unsubscribe message text dial invoice set control switch merge close open assign grant revoke
    ban block save insert append commit push install uninstall terminate shutdown launch trigger broadcast remind dm
    share sign log record execute store add tweet reply forward print shut wire call rotate purge truncate
    """)

#: Of those, the ones that are as often harmless: a tool named by them has an effect only if it takes more than numbers.
MILD_VERBS: Final = stem_set(
    "add start stop log execute order record call print text rotate share truncate sign open close"
)

#: Verbs that only compute or look. A tool named by any other verb is taken to change something.
HARMLESS_VERBS: Final = ASKING_VERBS | stem_set(
    """
    convert translate roll flip toss pick draw choose generate count sum add subtract multiply divide average measure
    define explain summarize analyze classify compare describe detect extract parse format validate verify hash encode
    decode encrypt decrypt sort filter reverse invert split join filter view recommend suggest predict forecast greet
    echo say solve identify recognize simulate scan inspect monitor track ping plan preview render round raise factor
    rank match sample shuffle spell rhyme resolve geocode correct complete answer ask tip discount
    """
)

#: Verbs of effect that no tool can be asked for by other words: who wants to buy does not want to look.
DECIDED_VERBS: Final = stem_set(
    "delete remove cancel pay buy purchase transfer sell erase refund schedule book reserve"
)

#: Verbs that carry a noun which is the real verb: `send_email` is asked for by "email", `place_order` by "order".
CARRIER_VERBS: Final = stem_set("send create make place schedule book write set post submit add do run perform")

#: What may stand before a verb that is asked for.
PREAMBLE: Final = word_set("""
    please can could would will you kindly then and also now next finally i want need i'd we'd like we to let us let's
    lets go ahead just ok okay hi hello hey great thanks thank after that afterwards so for me help yes sure once done
    second third lastly first too immediately quickly directly right away well might want love my assistant
    """)

#: Words that open a request.
REQUEST_OPENERS: Final = word_set("""
    what what's whats who who's where where's when when's which how how's why is are can could would will do does did
    please tell give show find get let's lets i'd compare explain list describe check need should has have
    """)

#: Verbs that open a clause, besides the first words of the tools' own names.
CLAUSE_OPENERS: Final = word_set("""
    what what's whats who where when which how why tell give show find get please also then let calculate compute
    convert translate search look check list fetch compare explain summarize summarise schedule book send email message
    notify delete remove create update cancel add multiply divide subtract roll reverse flip set turn remind play
    order buy write read open save count generate estimate define describe draw pick choose make tweet post call text
    print lookup download upload start stop encrypt decrypt encode decode hash sort split mark ping execute recommend
    suggest spell invite reserve run can could would will should is are do does
    """)

#: Words that mean yes or no after a parameter's name.
YES_WORDS: Final = word_set("true yes on enabled")
NO_WORDS: Final = word_set("false no off disabled")

#: Spellings of enum values that are not inflections of each other.
ENUM_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "celsius": ("c", "centigrade", "°c"),
    "fahrenheit": ("f", "°f"),
    "kelvin": ("k",),
    "condo": ("condominium",),
    "apartment": ("flat", "apt"),
    "townhouse": ("townhome", "town house", "town home"),
    "single_family": ("house", "single family home", "detached house"),
    "multi_family": ("duplex", "multifamily"),
    "low": ("minor",),
    "high": ("important",),
    "urgent": ("asap", "critical", "emergency"),
    "km": ("kilometer", "kilometre"),
    "mi": ("mile",),
    "kg": ("kilogram", "kilo"),
    "lb": ("pound", "lbs"),
    "m": ("meter", "metre"),
    "cm": ("centimeter", "centimetre"),
    "ft": ("foot", "feet"),
    "in_progress": ("in progress", "ongoing"),
    "add": ("plus", "sum", "+"),
    "subtract": ("minus", "-", "difference"),
    "multiply": ("times", "*", "×", "product"),
    "divide": ("divided", "/", "÷", "over"),
    "monthly": ("per month", "a month", "every month"),
    "daily": ("per day", "a day", "every day"),
    "weekly": ("per week", "a week", "every week"),
    "yearly": ("per year", "a year", "annually", "every year"),
    "asc": ("ascending", "lowest first", "cheapest first"),
    "desc": ("descending", "highest first"),
}


@lru_cache(maxsize=65536)
def alike(one: str, other: str) -> float:
    """How well two stems match: 1 for the same, 0.8 for synonyms, 0 otherwise."""
    if one == other:
        return 1.0
    groups = SYNONYMS.get(one)
    return 0.8 if groups and not groups.isdisjoint(SYNONYMS.get(other, frozenset())) else 0.0
