"""Conversations with the offline model: results of one turn in the calls of the next, failures, questions, bounds."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from tests.unit.test_offline_model_toys import NOW, Function, calls_of, definition
from trunkline.offline_model import Answer, decide, parse_request

Calls = list[tuple[str, dict[str, Any]]]


class Conversation:
    """Asks, makes the calls the model wants with prepared results, and hands them back until there is an answer."""

    def __init__(self, *functions: Function, results: Mapping[str, Any], **fields: Any) -> None:
        self._tools = [definition(function) for function in functions]
        self._results = results
        self._fields = fields
        self._messages: list[dict[str, Any]] = []
        self.rounds: list[Calls] = []
        self.answer = ""

    def say(self, text: str) -> "Conversation":
        self._messages.append({"role": "user", "content": text})
        self.rounds = []
        for _ in range(20):
            body = {"model": "any", "messages": self._messages, "tools": self._tools, **self._fields}
            reply = decide(parse_request(body), now=NOW)
            if isinstance(reply, Answer):
                self.answer = reply.text
                self._messages.append({"role": "assistant", "content": reply.text})
                return self
            self.rounds.append(calls_of(reply))
            made = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
                }
                for call in reply.calls
            ]
            self._messages.append({"role": "assistant", "content": None, "tool_calls": made})
            for call in reply.calls:
                content = self._result(call.tool, dict(call.arguments))
                self._messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        raise AssertionError("the model does not stop calling")

    def _result(self, tool: str, arguments: dict[str, Any]) -> str:
        prepared = self._results[tool]
        value = prepared(**arguments) if callable(prepared) else prepared
        return value if isinstance(value, str) else json.dumps(value)


PropertyType = Literal["house", "townhouse", "condo", "apartment"]


def search_properties(
    location: Annotated[str, Field(description="City, state or zip code")],
    min_price: Annotated[float | None, Field(description="Minimum price in USD", ge=0)] = None,
    max_price: Annotated[float | None, Field(description="Maximum price in USD", ge=0)] = None,
    property_type: PropertyType | None = None,
    bedrooms: Annotated[int | None, Field(description="Minimum number of bedrooms")] = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> None:
    """Search for properties for sale by location, price range and type; the cheapest come first."""


def get_property(property_id: str) -> None:
    """Get everything known about one property by its id."""


def neighborhood_stats(location: str) -> None:
    """Get housing market statistics of a zip code, city or state: median prices, days on market."""


def mortgage_payment(price: float, down_payment: float = 0, annual_rate_percent: float = 6.5, years: int = 30) -> None:
    """Calculate the monthly payment of a fixed-rate mortgage."""


def amortization_schedule(loan_amount: float, annual_rate_percent: float, years: int = 30) -> None:
    """Show how a loan is paid off over time, year by year."""


def affordability(annual_income: float, annual_rate_percent: float = 6.5, monthly_debts: float = 0) -> None:
    """Calculate which home price a household can afford."""


def fetch_url(url: str, max_characters: int = 8000) -> None:
    """Fetch a public web page and return its text."""


def schedule_viewing(property_id: str, starts_at: datetime, visitor_email: str) -> None:
    """Schedule a viewing of a property; the visitor is invited by email."""


def send_message(channel: Literal["email", "sms"], recipient: str, text: str, subject: str | None = None) -> None:
    """Send a message to a person by email or SMS."""


HOMES = [
    {"id": "home_1", "address": "12 Oak St", "price": 540_000, "bedrooms": 3, "year_built": 1998},
    {"id": "home_2", "address": "9 Elm Ave", "price": 480_000, "bedrooms": 3, "year_built": 2005},
    {"id": "home_3", "address": "77 Pine Rd", "price": 599_000, "bedrooms": 4, "year_built": 2015},
]


def details(property_id: str) -> dict[str, Any]:
    return next(home for home in HOMES if home["id"] == property_id)


RESULTS: dict[str, Any] = {
    "search_properties": {"location": "Austin, TX", "total": 3, "properties": HOMES},
    "get_property": details,
    "neighborhood_stats": {"location": "Austin, TX", "median_price": 565_000, "by_type": []},
    "mortgage_payment": {"monthly_total": "2781.10", "loan_amount": "440000.00", "payments": 360},
    "amortization_schedule": {"yearly": [{"year": 1, "interest": "100.00", "balance": "900.00"}]},
    "affordability": {"maximum_price": "442990.00"},
    "fetch_url": {"title": "Example", "text": "Example Domain"},
    "schedule_viewing": {"viewing_id": "v-1", "status": "queued"},
    "send_message": {"message_id": "m-1", "status": "queued"},
}


def real_estate(**fields: Any) -> Conversation:
    return Conversation(
        search_properties,
        get_property,
        neighborhood_stats,
        mortgage_payment,
        amortization_schedule,
        affordability,
        fetch_url,
        schedule_viewing,
        send_message,
        results=RESULTS,
        **fields,
    )


DEMO = (
    "Find 3-bedroom houses in Austin, TX under $600k, tell me about the neighborhood, and what the monthly mortgage"
    " would be on a $550,000 house with 20% down at 6.5% over 30 years."
)
DEMO_CALLS: Calls = [
    ("search_properties", {"location": "Austin, TX", "max_price": 600000, "property_type": "house", "bedrooms": 3}),
    ("neighborhood_stats", {"location": "Austin, TX"}),
    ("mortgage_payment", {"price": 550000, "down_payment": 110000, "annual_rate_percent": 6.5, "years": 30}),
]


def test_several_wishes_in_one_request_are_called_for_at_once() -> None:
    assert real_estate().say(DEMO).rounds == [DEMO_CALLS]


def test_the_answer_lists_records_and_formats_numbers() -> None:
    answer = real_estate().say(DEMO).answer

    assert "1. 12 Oak St · price $540,000 · bedrooms 3 · year built 1998 [home_1]" in answer
    assert "median price $565,000" in answer
    assert "monthly total $2,781.10" in answer
    assert "payments 360" in answer
    assert "total 3" in answer


def test_a_later_request_takes_the_id_of_the_first_from_the_results() -> None:
    conversation = real_estate().say(DEMO)
    conversation.say("and schedule a viewing of the first one tomorrow at 3pm for ana@example.com")

    assert conversation.rounds == [
        [
            (
                "schedule_viewing",
                {
                    "property_id": "home_1",
                    "starts_at": "2026-11-24T15:00:00+00:00",
                    "visitor_email": "ana@example.com",
                },
            )
        ]
    ]


@pytest.mark.parametrize(
    ("words", "home"),
    [
        ("the first one", "home_1"),
        ("the second one", "home_2"),
        ("the last one", "home_3"),
        ("the cheapest", "home_2"),
        ("the most expensive one", "home_3"),
        ("the newest", "home_3"),
        ("the oldest one", "home_1"),
        ("number 2", "home_2"),
        ("9 Elm Ave", "home_2"),
        ("home_3", "home_3"),
    ],
)
def test_words_point_at_one_of_the_records(words: str, home: str) -> None:
    conversation = real_estate().say("Find houses in Austin, TX").say(f"Tell me more details about {words}")

    assert conversation.rounds == [[("get_property", {"property_id": home})]]


def test_a_result_is_waited_for_in_the_same_request() -> None:
    conversation = real_estate().say(
        "Find houses in Austin, TX and schedule a viewing of the newest one next Friday at 10am for ana@example.com"
    )

    assert [[name for name, _ in calls] for calls in conversation.rounds] == [
        ["search_properties"],
        ["schedule_viewing"],
    ]
    assert conversation.rounds[1][0][1]["property_id"] == "home_3"


def test_a_search_is_made_first_for_an_id_that_the_text_only_describes() -> None:
    conversation = real_estate().say(
        "Schedule a viewing of the cheapest 3-bedroom house in Austin, TX tomorrow at 3pm for ana@example.com"
    )

    assert [[name for name, _ in calls] for calls in conversation.rounds] == [
        ["search_properties"],
        ["schedule_viewing"],
    ]
    assert conversation.rounds[1][0][1]["property_id"] == "home_2"


def test_an_effect_is_not_caused_on_a_record_that_the_text_does_not_choose() -> None:
    conversation = real_estate().say(
        "Schedule a viewing of a 3-bedroom house in Austin, TX tomorrow at 3pm for ana@example.com"
    )

    assert [[name for name, _ in calls] for calls in conversation.rounds] == [["search_properties"]]
    assert "`property_id`. Which of these is meant?" in conversation.answer

    assert conversation.say("the second one").rounds == [
        [
            (
                "schedule_viewing",
                {
                    "property_id": "home_2",
                    "starts_at": "2026-11-24T15:00:00+00:00",
                    "visitor_email": "ana@example.com",
                },
            )
        ]
    ]


def test_an_effect_is_not_caused_on_an_old_result_when_the_new_one_failed() -> None:
    results = dict(RESULTS)
    conversation = Conversation(search_properties, schedule_viewing, results=results).say("Find houses in Austin, TX")
    results["search_properties"] = "ValueError: database away"
    conversation.say(
        "Find condos in Denver, CO and schedule a viewing of the first one tomorrow at 3pm for ana@example.com"
    )

    assert [[name for name, _ in calls] for calls in conversation.rounds] == [["search_properties"]]
    assert "I need a value for `property_id`" in conversation.answer


def test_details_of_each_are_asked_for_at_once() -> None:
    conversation = real_estate().say("Find houses in Austin, TX and give me the details of each")

    assert conversation.rounds[1] == [("get_property", {"property_id": home["id"]}) for home in HOMES]


def test_a_price_that_the_text_lacks_comes_from_the_result_and_a_share_is_computed_from_it() -> None:
    conversation = real_estate().say(
        "Find houses in Austin, TX and tell me the monthly mortgage on the cheapest with 10% down"
    )

    assert conversation.rounds[1] == [("mortgage_payment", {"price": 480000, "down_payment": 48000})]


def test_what_changes_is_enough_for_a_follow_up() -> None:
    conversation = real_estate().say("Find condos in Austin, TX under $400k").say("What about Denver, CO?")

    assert conversation.rounds == [
        [("search_properties", {"location": "Denver, CO", "max_price": 400000, "property_type": "condo"})]
    ]


def test_the_results_themselves_can_be_sent() -> None:
    conversation = real_estate().say("Find houses in Austin, TX, then email the results to bob@example.com")

    name, arguments = conversation.rounds[1][0]
    assert name == "send_message"
    assert (arguments["channel"], arguments["recipient"]) == ("email", "bob@example.com")
    assert "12 Oak St" in arguments["text"]


def test_an_sms_goes_to_a_telephone_number() -> None:
    conversation = real_estate().say("text +15125550100 that we are on the way")

    assert conversation.rounds == [
        [("send_message", {"channel": "sms", "recipient": "+15125550100", "text": "we are on the way"})]
    ]


def test_a_page_is_fetched_because_its_address_is_there() -> None:
    assert real_estate().say("Summarize https://example.com/page").rounds == [
        [("fetch_url", {"url": "https://example.com/page"})]
    ]


def test_what_is_told_counts_for_what_is_asked_beside_it() -> None:
    conversation = real_estate().say("I earn $120,000 a year and have $500 monthly debts. What can I afford?")

    assert conversation.rounds == [[("affordability", {"annual_income": 120000, "monthly_debts": 500})]]


def test_calls_come_one_by_one_if_parallel_calls_are_off() -> None:
    conversation = real_estate(parallel_tool_calls=False).say(DEMO)

    assert conversation.rounds == [[call] for call in DEMO_CALLS]


def test_no_call_is_made_twice_on_one_request() -> None:
    conversation = real_estate().say(f"{DEMO} {DEMO} What is the mortgage on a $550,000 house with 20% down?")
    made = [json.dumps(call, sort_keys=True) for calls in conversation.rounds for call in calls]

    assert len(made) == len(set(made))


def add(a: float, b: float) -> None:
    """Add two numbers."""


def subtract(a: float, b: float) -> None:
    """Subtract b from a."""


def multiply(a: float, b: float) -> None:
    """Multiply two numbers."""


def arithmetic() -> Conversation:
    return Conversation(
        add,
        subtract,
        multiply,
        results={
            "add": lambda a, b: a + b,
            "subtract": lambda a, b: a - b,
            "multiply": lambda a, b: a * b,
        },
    )


def test_the_result_is_a_number_for_the_next_call() -> None:
    conversation = arithmetic().say("add 2 and 3, then multiply the result by 4")

    assert conversation.rounds == [[("add", {"a": 2, "b": 3})], [("multiply", {"a": 5, "b": 4})]]
    assert conversation.say("subtract 5 from that").rounds == [[("subtract", {"a": 20, "b": 5})]]


def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> None:
    """Get the current weather in a city."""


def roll_dice(sides: int, count: int = 1) -> None:
    """Roll some dice."""


def test_the_answer_to_its_question_completes_the_call() -> None:
    conversation = Conversation(weather, results={"weather": {"temperature": 21}}).say("What's the weather?")
    assert "I need a value for `city`" in conversation.answer

    assert conversation.say("Paris").rounds == [[("weather", {"city": "Paris"})]]
    assert conversation.say("and in Berlin in fahrenheit?").rounds == [
        [("weather", {"city": "Berlin", "unit": "fahrenheit"})]
    ]


@pytest.mark.parametrize("reply", ["never mind", "no", "thanks", "why?", "forget it", "yes", "I like cats"])
def test_a_reply_that_declines_is_not_taken_for_the_value(reply: str) -> None:
    conversation = Conversation(weather, results={"weather": {}}).say("What's the weather?").say(reply)

    assert conversation.rounds == []


def test_again_means_with_the_same_arguments() -> None:
    conversation = Conversation(roll_dice, results={"roll_dice": [3, 4]}).say("roll two dice with 6 sides")

    assert conversation.say("roll again").rounds == [[("roll_dice", {"sides": 6, "count": 2})]]
    assert conversation.say("roll again with 20 sides").rounds == [[("roll_dice", {"sides": 20, "count": 2})]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"outcome": "timed_out", "message": "no answer within 5 s"}', "did not finish in time: no answer within 5 s"),
        (
            "weather did not finish within its time limit of 5 s, or within what its job had left",
            "did not finish in time",
        ),
        ('{"error": {"kind": "failed", "message": "station offline"}}', "this failed: station offline"),
        ("ValueError: no such station", "this failed: ValueError: no such station"),
        ("Error: boom", "this failed: boom"),
        ('{"error": "boom"}', "this failed: boom"),
        ('{"ok": false, "reason": "boom"}', "this failed: boom"),
        (
            "The caller may not use weather: missing permission weather:read. It was not run.",
            "this is not permitted: The caller may not use weather",
        ),
        ("Reset. Whether the tool had its effect is not known; do not repeat the call.", "I have not repeated it"),
        ("The job was cancelled: by the user", "this was cancelled"),
        (
            '{"error": {"type": "rejected", "problems": [{"path": "city", "message": "unknown"}]}}',
            "its arguments were rejected: `city` unknown",
        ),
        ("The arguments do not fit. city: no such city; unit: odd", "`city` no such city; `unit` odd"),
    ],
)
def test_a_failure_is_told_and_not_tried_again(content: str, words: str) -> None:
    conversation = Conversation(weather, results={"weather": content}).say("What's the weather in Paris?")

    assert len(conversation.rounds) == 1
    assert words in conversation.answer


def test_what_succeeded_is_told_beside_what_failed() -> None:
    def forecast(city: str, unit: str = "celsius") -> Any:
        return {"temperature": 21} if city == "Paris" else "Error: no such city"

    answer = Conversation(weather, results={"weather": forecast}).say("weather in Paris and Xyz").answer

    assert "Weather (city Paris): temperature 21" in answer
    assert "Weather (city Xyz): this failed: no such city" in answer


def test_rejected_arguments_are_mended_once_where_the_rejection_says_how() -> None:
    def set_rate(rate: float) -> None:
        """Set the rate."""

    def strict(rate: float) -> str:
        return "ok" if rate <= 1 else "The arguments do not fit. rate: Input should be less than or equal to 1"

    conversation = Conversation(set_rate, results={"set_rate": strict}).say("set the rate to 25%")

    assert conversation.rounds == [[("set_rate", {"rate": 25})], [("set_rate", {"rate": 0.25})]]
    assert "rejected" not in conversation.answer


def test_a_value_the_rejection_offers_is_chosen_by_the_text() -> None:
    def paint(color: str) -> None:
        """Paint the wall in a color."""

    def strict(color: str) -> str:
        allowed = "{'path': 'color'}" if color == "blue" else ""
        return "done" if allowed else "The arguments do not fit. color: Input should be 'red', 'green' or 'blue'"

    conversation = Conversation(paint, results={"paint": strict}).say("paint the wall a nice blue tone")

    assert conversation.rounds[-1] == [("paint", {"color": "blue"})]
    assert len(conversation.rounds) == 2


def test_an_optional_argument_that_is_rejected_is_left_out() -> None:
    def strict(city: str, unit: str = "") -> str:
        return "The arguments do not fit. unit: is not supported here" if unit else "sunny"

    conversation = Conversation(weather, results={"weather": strict}).say("weather in Paris in fahrenheit")

    assert conversation.rounds == [
        [("weather", {"city": "Paris", "unit": "fahrenheit"})],
        [("weather", {"city": "Paris"})],
    ]


def test_a_tool_that_rejects_everything_is_called_twice_at_most() -> None:
    rejection = "The arguments do not fit. unit: is wrong; city: Input should be 'Rome' or 'Oslo'"
    conversation = Conversation(weather, results={"weather": rejection}).say("weather in Paris in fahrenheit")

    assert sum(len(calls) for calls in conversation.rounds) <= 2
    assert "rejected" in conversation.answer
