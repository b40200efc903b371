"""Tools as a newcomer would declare them, and what the offline model makes of requests for them."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import ArgsKwargs

from trunkline.offline_model import Answer, CallTools, Reply, decide, parse_request

#: A Monday.
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

Function = Callable[..., Any]


def definition(function: Function) -> dict[str, Any]:
    """A function as a request offers it."""
    described = {"description": function.__doc__.strip()} if function.__doc__ else {}
    parameters = TypeAdapter(function).json_schema()  # type: ignore[arg-type]  # it takes functions too
    return {"type": "function", "function": {"name": function.__name__, **described, "parameters": parameters}}


def ask(text: str, *functions: Function, **fields: Any) -> Reply:
    """The reply to one user message."""
    body = {"model": "any", "messages": [{"role": "user", "content": text}], **fields}
    if functions:
        body["tools"] = [definition(function) for function in functions]
    return decide(parse_request(body), now=NOW)


def calls_of(reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a reply, names and arguments; empty for an answer."""
    return [(call.tool, dict(call.arguments)) for call in reply.calls] if isinstance(reply, CallTools) else []


def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> None:
    """Get the current weather in a city."""


def add(a: float, b: float) -> None:
    """Add two numbers."""


def multiply(a: float, b: float) -> None:
    """Multiply two numbers."""


def subtract(a: float, b: float) -> None:
    """Subtract b from a."""


def divide(a: float, b: float) -> None:
    """Divide a by b."""


def roll_dice(sides: int, count: int = 1) -> None:
    """Roll some dice."""


def reverse_text(text: str) -> None:
    """Reverse a text."""


def undocumented_greeting(name: str) -> None:
    pass


def get_current_time(timezone: str) -> None:
    """Get the current time in a timezone, e.g. Europe/Paris."""


def get_time() -> None:
    """The current time."""


def calculate(expression: str) -> None:
    """Evaluate an arithmetic expression."""


def get_stock_price(symbol: str) -> None:
    """Get the latest price of a stock by its ticker symbol."""


def convert_currency(amount: float, from_currency: str, to_currency: str) -> None:
    """Convert an amount of money from one currency to another."""


Degrees = Literal["celsius", "fahrenheit", "kelvin"]


def convert_temperature(value: float, from_unit: Degrees, to_unit: Degrees) -> None:
    """Convert a temperature between units."""


def convert_units(value: float, from_unit: str, to_unit: str) -> None:
    """Convert a value between units."""


def fahrenheit_to_celsius(f: float) -> None:
    """Fahrenheit to Celsius."""


def celsius_to_fahrenheit(c: float) -> None:
    """Celsius to Fahrenheit."""


def bmi(weight_kg: float, height_m: float) -> None:
    """Body mass index."""


def body_mass(
    weight: Annotated[float, Field(description="in kilograms")],
    height: Annotated[float, Field(description="in centimeters")],
) -> None:
    """Compute the body mass index from weight and height."""


def book_table(restaurant: str, date: date, time: str, party_size: int) -> None:
    """Book a table at a restaurant."""


def create_event(title: str, start: datetime, end: datetime | None = None) -> None:
    """Create a calendar event."""


def set_timer(minutes: int) -> None:
    """Set a timer."""


def countdown_timer(duration_seconds: int) -> None:
    """Start a countdown timer."""


def translate(text: str, target_language: str, source_language: str | None = None) -> None:
    """Translate text into another language."""


def word_count(text: str) -> None:
    """Count the words in a text."""


def is_prime(n: int) -> None:
    """Check whether a number is prime."""


def factorial(n: int) -> None:
    """Compute the factorial."""


def fibonacci(n: int) -> None:
    """The n-th Fibonacci number."""


def random_number(min: int, max: int) -> None:
    """Draw a random number."""


def get_user(user_id: int) -> None:
    """Look up a user."""


def lookup_order(order_id: str) -> None:
    """Find the status of an order."""


def cancel_order(order_id: str) -> None:
    """Cancel an order."""


def read_file(path: str) -> None:
    """Read a file."""


def delete_file(path: str) -> None:
    """Delete a file."""


def add_todo(task: str, due: date | None = None) -> None:
    """Add a task to the todo list."""


def remind_me(text: str, when: str) -> None:
    """Create a reminder."""


def play_song(title: str, artist: str | None = None) -> None:
    """Play a song."""


def search_movies(query: str, year: int | None = None) -> None:
    """Search for movies."""


def get_movie(title: str, year: int | None = None) -> None:
    """Details of a movie."""


def search_flights(origin: str, destination: str, date: date) -> None:
    """Search flights between two cities on a date."""


def average(numbers: list[float]) -> None:
    """The average of some numbers."""


def sort_numbers(numbers: list[float], descending: bool = False) -> None:
    """Sort numbers."""


class Item(BaseModel):
    product: str
    quantity: int


def order_items(items: list[Item], express: bool = False) -> None:
    """Place an order for products."""


class Address(BaseModel):
    street: str
    city: str
    zip_code: str


def ship_package(address: Address, weight_kg: float) -> None:
    """Ship a package to an address."""


class Point(BaseModel):
    x: float
    y: float


def distance_between(a: Point, b: Point) -> None:
    """Distance between two points."""


class Preferences(BaseModel):
    pool: bool = False
    min_stars: int = 3


def find_hotel(city: str, preferences: Preferences | None = None) -> None:
    """Find a hotel."""


def hotel_search(city: str, checkin: date, checkout: date, guests: int = 2, max_price: float | None = None) -> None:
    """Search hotels."""


Topping = Literal["cheese", "mushrooms", "ham", "olives"]


def order_pizza(
    size: Literal["small", "medium", "large"], toppings: list[Topping] | None = None, quantity: int = 1
) -> None:
    """Order a pizza."""


def flip_coin() -> None:
    """Flip a coin."""


def tell_joke(topic: str | None = None) -> None:
    """Tell a joke."""


def define_word(word: str) -> None:
    """Look up the definition of a word."""


def capital_of(country: str) -> None:
    """The capital of a country."""


def find_recipe(dish: str, vegetarian: bool = False) -> None:
    """Find a recipe."""


def web_search(query: str) -> None:
    """Search the web."""


def search_docs(query: str, top_k: int = 5) -> None:
    """Search the documentation."""


def create_user(name: str, email: str, age: int | None = None) -> None:
    """Create a user account."""


def send_email(to: str, subject: str, body: str) -> None:
    """Send an email."""


def get_forecast(location: str, days: int = 3) -> None:
    """Weather forecast for the next days."""


def square_root(x: float) -> None:
    """Square root of a number."""


def power(base: float, exponent: float) -> None:
    """Raise a base to an exponent."""


def days_between(start_date: date, end_date: date) -> None:
    """Number of days between two dates."""


def greet(name: str) -> None:
    """Greet a person."""


def generate_password(length: int = 16, symbols: bool = True) -> None:
    """Generate a random password."""


def turn_light(room: str, state: Literal["on", "off"]) -> None:
    """Turn a light on or off."""


def get_news(topic: str | None = None, limit: int = 5) -> None:
    """Latest news headlines."""


def distance(origin: str, destination: str, unit: Literal["km", "miles"] = "km") -> None:
    """Distance between two places."""


def tip(bill: float, percent: float = 15) -> None:
    """Calculate the tip for a bill."""


def compute_tax(income: float, rate: float = 0.2) -> None:
    """Compute income tax."""


def loan_payment(principal: float, annual_rate: float, years: int) -> None:
    """Monthly payment of a loan."""


def split_bill(total: float, people: int, tip_percent: float = 0) -> None:
    """Split a bill among people."""


def sentiment(text: str) -> None:
    """Analyze the sentiment of a text."""


def get_population(city: str) -> None:
    """Population of a city."""


def shopping_list(items: list[str]) -> None:
    """Put items on the shopping list."""


def count_letter(word: str, letter: str) -> None:
    """Count how often a letter occurs in a word."""


def ping(host: str) -> None:
    """Ping a host."""


def transfer_money(from_account: str, to_account: str, amount: float) -> None:
    """Transfer money between accounts."""


def update_status(ticket_id: str, status: Literal["open", "in_progress", "closed"]) -> None:
    """Update the status of a ticket."""


def create_ticket(
    title: str, description: str, priority: Literal["low", "medium", "high", "urgent"] = "medium"
) -> None:
    """Open a support ticket."""


def hash_text(text: str, algorithm: Literal["md5", "sha1", "sha256"] = "sha256") -> None:
    """Hash a text."""


def fetch(url: str, method: Literal["GET", "POST"] = "GET") -> None:
    """Fetch a URL."""


def rent_car(
    city: str, pickup_date: date, return_date: date, car_type: Literal["economy", "suv", "van"] = "economy"
) -> None:
    """Rent a car."""


SMALL = (weather, add, multiply, roll_dice, reverse_text)
ARITHMETIC = (add, subtract, multiply, divide)

Case = tuple[str, tuple[Function, ...], list[tuple[str, dict[str, Any]]]]

CASES: list[Case] = [
    ("What's the weather in Paris?", SMALL, [("weather", {"city": "Paris"})]),
    ("weather in paris and london", SMALL, [("weather", {"city": "paris"}), ("weather", {"city": "london"})]),
    (
        "What's the weather in Paris and London in fahrenheit?",
        SMALL,
        [("weather", {"city": "Paris", "unit": "fahrenheit"}), ("weather", {"city": "London", "unit": "fahrenheit"})],
    ),
    ("how's the weather in Oslo, in °F please", (weather,), [("weather", {"city": "Oslo", "unit": "fahrenheit"})]),
    ("Will I need an umbrella in London tomorrow?", (weather,), [("weather", {"city": "London"})]),
    ("What is 2 + 3?", SMALL, [("add", {"a": 2, "b": 3})]),
    ("4 plus 5", SMALL, [("add", {"a": 4, "b": 5})]),
    ("Add 1.5 and -2", SMALL, [("add", {"a": 1.5, "b": -2})]),
    ("add a=4 b=5", SMALL, [("add", {"a": 4, "b": 5})]),
    ('call add with {"a": 4, "b": 5}', SMALL, [("add", {"a": 4, "b": 5})]),
    ("what is the sum of 10 and 20?", SMALL, [("add", {"a": 10, "b": 20})]),
    ("Can you tell me what 6 times 7 is?", SMALL, [("multiply", {"a": 6, "b": 7})]),
    (
        "add 2 and 3 and multiply 4 by 5",
        SMALL,
        [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})],
    ),
    ("subtract 3 from 10", ARITHMETIC, [("subtract", {"a": 10, "b": 3})]),
    ("what is 10 minus 3?", ARITHMETIC, [("subtract", {"a": 10, "b": 3})]),
    ("10 divided by 4", ARITHMETIC, [("divide", {"a": 10, "b": 4})]),
    ("roll two 20-sided dice", SMALL, [("roll_dice", {"sides": 20, "count": 2})]),
    ("roll 3d6", SMALL, [("roll_dice", {"sides": 6, "count": 3})]),
    ("I want to roll 4 eight-sided dice", SMALL, [("roll_dice", {"sides": 8, "count": 4})]),
    ("Roll a die with 6 sides", SMALL, [("roll_dice", {"sides": 6})]),
    ("reverse 'hello world'", SMALL, [("reverse_text", {"text": "hello world"})]),
    ("Reverse the text hello world please", SMALL, [("reverse_text", {"text": "hello world"})]),
    ("spell racecar backwards", SMALL, [("reverse_text", {"text": "racecar"})]),
    ("undocumented greeting for Sam", (undocumented_greeting,), [("undocumented_greeting", {"name": "Sam"})]),
    ("What time is it in Tokyo?", (get_current_time,), [("get_current_time", {"timezone": "Asia/Tokyo"})]),
    ("What time is it?", (get_time,), [("get_time", {})]),
    ("What is 12 * (3 + 4)?", (calculate,), [("calculate", {"expression": "12 * (3 + 4)"})]),
    ("what's 2 plus 2", (calculate,), [("calculate", {"expression": "2 + 2"})]),
    ("calculate 15% of 80", (calculate,), [("calculate", {"expression": "15 / 100 * 80"})]),
    ("What's the price of AAPL?", (get_stock_price,), [("get_stock_price", {"symbol": "AAPL"})]),
    (
        "stock price of MSFT and GOOG",
        (get_stock_price,),
        [("get_stock_price", {"symbol": "MSFT"}), ("get_stock_price", {"symbol": "GOOG"})],
    ),
    (
        "Convert 100 USD to EUR",
        (convert_currency, convert_units),
        [("convert_currency", {"amount": 100, "from_currency": "USD", "to_currency": "EUR"})],
    ),
    (
        "$100 in yen",
        (convert_currency, weather),
        [("convert_currency", {"amount": 100, "from_currency": "USD", "to_currency": "JPY"})],
    ),
    (
        "convert 100 fahrenheit to celsius",
        (convert_temperature, convert_currency),
        [("convert_temperature", {"value": 100, "from_unit": "fahrenheit", "to_unit": "celsius"})],
    ),
    (
        "What is 37°C in Fahrenheit?",
        (convert_temperature,),
        [("convert_temperature", {"value": 37, "from_unit": "celsius", "to_unit": "fahrenheit"})],
    ),
    (
        "convert 10 km to miles",
        (convert_units,),
        [("convert_units", {"value": 10, "from_unit": "km", "to_unit": "miles"})],
    ),
    (
        "how many meters are in 3 feet?",
        (convert_units,),
        [("convert_units", {"value": 3, "from_unit": "feet", "to_unit": "meters"})],
    ),
    (
        "convert 20 celsius to fahrenheit",
        (fahrenheit_to_celsius, celsius_to_fahrenheit),
        [("celsius_to_fahrenheit", {"c": 20})],
    ),
    (
        "My weight is 70 kg and my height is 1.75 m, what is my BMI?",
        (bmi,),
        [("bmi", {"weight_kg": 70, "height_m": 1.75})],
    ),
    ("body mass for 180 cm and 80 kg", (body_mass,), [("body_mass", {"weight": 80, "height": 180})]),
    (
        "Book a table for 4 at Luigi's tomorrow at 7pm",
        (book_table, weather),
        [("book_table", {"restaurant": "Luigi's", "date": "2026-11-24", "time": "19:00", "party_size": 4})],
    ),
    (
        "Create an event called Team Sync tomorrow from 3pm to 4pm",
        (create_event,),
        [
            (
                "create_event",
                {
                    "title": "Team Sync",
                    "start": "2026-11-24T15:00:00+00:00",
                    "end": "2026-11-24T16:00:00+00:00",
                },
            )
        ],
    ),
    ("set a timer for 10 minutes", (set_timer,), [("set_timer", {"minutes": 10})]),
    ("set a timer for 2 hours", (set_timer,), [("set_timer", {"minutes": 120})]),
    ("start a 5 minute countdown timer", (countdown_timer,), [("countdown_timer", {"duration_seconds": 300})]),
    (
        "Translate good morning to French",
        (translate,),
        [("translate", {"text": "good morning", "target_language": "French"})],
    ),
    (
        "How do you say 'thank you' in Japanese?",
        (translate,),
        [("translate", {"text": "thank you", "target_language": "Japanese"})],
    ),
    (
        "Translate this to Spanish: The house is big, and the garden is small.",
        (translate,),
        [("translate", {"text": "The house is big, and the garden is small.", "target_language": "Spanish"})],
    ),
    (
        "translate hello from English into German",
        (translate,),
        [("translate", {"text": "hello", "target_language": "German", "source_language": "English"})],
    ),
    (
        "count the words in the quick brown fox",
        (word_count, translate),
        [("word_count", {"text": "the quick brown fox"})],
    ),
    ("Is 97 prime?", (is_prime,), [("is_prime", {"n": 97})]),
    ("are 7 and 9 prime?", (is_prime,), [("is_prime", {"n": 7}), ("is_prime", {"n": 9})]),
    ("factorial of 5 and 6", (factorial,), [("factorial", {"n": 5}), ("factorial", {"n": 6})]),
    ("What is the 10th fibonacci number?", (fibonacci,), [("fibonacci", {"n": 10})]),
    ("give me a random number between 1 and 100", (random_number,), [("random_number", {"min": 1, "max": 100})]),
    ("who is user 7?", (get_user,), [("get_user", {"user_id": 7})]),
    ("Where's my order #A-1234?", (lookup_order, cancel_order), [("lookup_order", {"order_id": "A-1234"})]),
    ("could you cancel order 17 for me?", (lookup_order, cancel_order), [("cancel_order", {"order_id": "17"})]),
    ("show me the contents of notes.txt", (read_file, delete_file), [("read_file", {"path": "notes.txt"})]),
    ("delete /tmp/old.log", (read_file, delete_file), [("delete_file", {"path": "/tmp/old.log"})]),
    ("Add buy milk to my todo list", (add_todo,), [("add_todo", {"task": "buy milk"})]),
    (
        "add 'call mom' to my todos for tomorrow",
        (add_todo,),
        [("add_todo", {"task": "call mom", "due": "2026-11-24"})],
    ),
    (
        "remind me to buy milk tomorrow at 5pm",
        (remind_me,),
        [("remind_me", {"text": "buy milk", "when": "2026-11-24T17:00:00+00:00"})],
    ),
    (
        "Play Bohemian Rhapsody by Queen",
        (play_song,),
        [("play_song", {"title": "Bohemian Rhapsody", "artist": "Queen"})],
    ),
    (
        "search for movies about space from 2014",
        (search_movies,),
        [("search_movies", {"query": "space", "year": 2014})],
    ),
    (
        "tell me about the movie The Matrix from 1999",
        (get_movie,),
        [("get_movie", {"title": "The Matrix", "year": 1999})],
    ),
    (
        "Find flights from Paris to Rome next Friday",
        (search_flights,),
        [("search_flights", {"origin": "Paris", "destination": "Rome", "date": "2026-12-04"})],
    ),
    (
        "flights from san francisco to new york on 2026-12-24",
        (search_flights,),
        [("search_flights", {"origin": "san francisco", "destination": "new york", "date": "2026-12-24"})],
    ),
    ("What is the mean of 2.5, 3.5, 10?", (average,), [("average", {"numbers": [2.5, 3.5, 10]})]),
    ("sort 5, 3, 9 descending", (sort_numbers,), [("sort_numbers", {"numbers": [5, 3, 9], "descending": True})]),
    (
        "order 2 apples and 3 bananas",
        (order_items,),
        [
            (
                "order_items",
                {"items": [{"product": "apples", "quantity": 2}, {"product": "bananas", "quantity": 3}]},
            )
        ],
    ),
    (
        "ship a 2 kg package to street: 5 Main St, city: Austin, zip code: 78701",
        (ship_package,),
        [
            (
                "ship_package",
                {"address": {"street": "5 Main St", "city": "Austin", "zip_code": "78701"}, "weight_kg": 2},
            )
        ],
    ),
    (
        "distance between (1, 2) and (4, 6)",
        (distance_between,),
        [("distance_between", {"a": {"x": 1, "y": 2}, "b": {"x": 4, "y": 6}})],
    ),
    (
        "find a hotel with a pool in Nice with at least 4 stars",
        (find_hotel,),
        [("find_hotel", {"city": "Nice", "preferences": {"pool": True, "min_stars": 4}})],
    ),
    (
        "hotels in Rome from 2026-12-01 to 2026-12-05 for 3 guests under $200",
        (hotel_search,),
        [
            (
                "hotel_search",
                {"city": "Rome", "checkin": "2026-12-01", "checkout": "2026-12-05", "guests": 3, "max_price": 200},
            )
        ],
    ),
    (
        "I'd like to order a large pizza with mushrooms and olives",
        (order_pizza,),
        [("order_pizza", {"size": "large", "toppings": ["mushrooms", "olives"]})],
    ),
    ("order two small pizzas", (order_pizza,), [("order_pizza", {"size": "small", "quantity": 2})]),
    ("heads or tails?", (flip_coin,), [("flip_coin", {})]),
    ("tell me a joke about cats", (tell_joke,), [("tell_joke", {"topic": "cats"})]),
    ("tell me a joke", (tell_joke,), [("tell_joke", {})]),
    ("What does ubiquitous mean?", (define_word,), [("define_word", {"word": "ubiquitous"})]),
    ("capital of japan", (capital_of,), [("capital_of", {"country": "japan"})]),
    (
        "find a vegetarian recipe for lasagna",
        (find_recipe,),
        [("find_recipe", {"dish": "lasagna", "vegetarian": True})],
    ),
    ("how do I cook pad thai?", (find_recipe,), [("find_recipe", {"dish": "pad thai"})]),
    ("search the web for python tutorials", (web_search,), [("web_search", {"query": "python tutorials"})]),
    ("search the docs for retry policy", (search_docs,), [("search_docs", {"query": "retry policy"})]),
    (
        "create a user named Bob Smith with email bob@x.com, 42 years old",
        (create_user,),
        [("create_user", {"name": "Bob Smith", "email": "bob@x.com", "age": 42})],
    ),
    (
        "email bob@example.com with subject 'Lunch' and body 'At noon?'",
        (send_email,),
        [("send_email", {"to": "bob@example.com", "subject": "Lunch", "body": "At noon?"})],
    ),
    (
        "send an email to bob@example.com about the meeting saying it is moved to 4pm",
        (send_email,),
        [("send_email", {"to": "bob@example.com", "subject": "the meeting", "body": "it is moved to 4pm"})],
    ),
    ("5 day forecast for Berlin", (get_forecast,), [("get_forecast", {"location": "Berlin", "days": 5})]),
    ("square root of 144", (square_root,), [("square_root", {"x": 144})]),
    ("2 to the power of 10", (power,), [("power", {"base": 2, "exponent": 10})]),
    (
        "how many days from Nov 24 to Dec 25",
        (days_between,),
        [("days_between", {"start_date": "2026-11-24", "end_date": "2026-12-25"})],
    ),
    ("say hello to Bob", (greet,), [("greet", {"name": "Bob"})]),
    (
        "generate a 20 character password without symbols",
        (generate_password,),
        [("generate_password", {"length": 20, "symbols": False})],
    ),
    ("turn the bedroom light off", (turn_light,), [("turn_light", {"room": "bedroom", "state": "off"})]),
    ("latest news about climate change", (get_news,), [("get_news", {"topic": "climate change"})]),
    ("top 3 headlines", (get_news,), [("get_news", {"limit": 3})]),
    (
        "How far is it from Berlin to Munich in miles?",
        (distance,),
        [("distance", {"origin": "Berlin", "destination": "Munich", "unit": "miles"})],
    ),
    ("tip for a $45 bill at 20%", (tip,), [("tip", {"bill": 45, "percent": 20})]),
    ("how much tax on an income of $80k at 25%?", (compute_tax,), [("compute_tax", {"income": 80000, "rate": 0.25})]),
    (
        "monthly payment for a 250k loan at 5.5% over 15 years",
        (loan_payment,),
        [("loan_payment", {"principal": 250000, "annual_rate": 5.5, "years": 15})],
    ),
    (
        "split a $120 bill among 4 people with a 15% tip",
        (split_bill,),
        [("split_bill", {"total": 120, "people": 4, "tip_percent": 15})],
    ),
    (
        "analyze the sentiment of: I really love this!",
        (sentiment,),
        [("sentiment", {"text": "I really love this!"})],
    ),
    (
        "What's the weather and the population of Paris?",
        (weather, get_population),
        [("weather", {"city": "Paris"}), ("get_population", {"city": "Paris"})],
    ),
    (
        "put milk, eggs and bread on the shopping list",
        (shopping_list,),
        [("shopping_list", {"items": ["milk", "eggs", "bread"]})],
    ),
    (
        "count the letter r in the word strawberry",
        (count_letter,),
        [("count_letter", {"word": "strawberry", "letter": "r"})],
    ),
    ("ping example.com", (ping,), [("ping", {"host": "example.com"})]),
    (
        "transfer $250 from checking to savings",
        (transfer_money,),
        [("transfer_money", {"from_account": "checking", "to_account": "savings", "amount": 250})],
    ),
    (
        "mark ticket T-100 as in progress",
        (update_status,),
        [("update_status", {"ticket_id": "T-100", "status": "in_progress"})],
    ),
    (
        "Open a ticket titled 'Printer broken' with description 'It smokes' and high priority",
        (create_ticket,),
        [("create_ticket", {"title": "Printer broken", "description": "It smokes", "priority": "high"})],
    ),
    ("hash hello with md5", (hash_text,), [("hash_text", {"text": "hello", "algorithm": "md5"})]),
    (
        "POST to https://api.example.com/x",
        (fetch,),
        [("fetch", {"url": "https://api.example.com/x", "method": "POST"})],
    ),
    (
        "rent an SUV in Denver from 2026-12-01 to 2026-12-08",
        (rent_car,),
        [
            (
                "rent_car",
                {"city": "Denver", "pickup_date": "2026-12-01", "return_date": "2026-12-08", "car_type": "suv"},
            )
        ],
    ),
]


@pytest.mark.parametrize(("text", "functions", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_request_becomes_the_calls_it_asks_for(
    text: str, functions: tuple[Function, ...], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert calls_of(ask(text, *functions)) == expected


@pytest.mark.parametrize(("text", "functions", "expected"), CASES, ids=[case[0] for case in CASES])
def test_the_arguments_of_every_call_satisfy_the_tool_s_own_types(
    text: str, functions: tuple[Function, ...], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    by_name = {function.__name__: function for function in functions}
    for name, arguments in calls_of(ask(text, *functions)):
        adapter: TypeAdapter[Any] = TypeAdapter(by_name[name])  # type: ignore[arg-type]  # it takes functions too
        adapter.validate_python(ArgsKwargs((), arguments))


MISSING: list[tuple[str, tuple[Function, ...], str, list[str]]] = [
    ("What's the weather?", SMALL, "weather", ["city"]),
    ("roll some dice", SMALL, "roll_dice", ["sides"]),
    ("add 5", SMALL, "add", ["b"]),
    ("send an email to bob@example.com", (send_email,), "send_email", ["subject", "body"]),
    ("Book a table at Luigi's", (book_table,), "book_table", ["date", "time", "party_size"]),
    ("ship a 2 kg package", (ship_package,), "ship_package", ["address.street", "address.city", "address.zip_code"]),
    ("turn the bedroom light", (turn_light,), "turn_light", ["state"]),
    ("flights to Rome", (search_flights,), "search_flights", ["origin", "date"]),
    ("convert 100 to EUR", (convert_currency,), "convert_currency", ["from_currency"]),
]


@pytest.mark.parametrize(("text", "functions", "tool", "names"), MISSING, ids=[case[0] for case in MISSING])
def test_a_required_value_that_is_not_in_the_text_is_asked_for_and_not_made_up(
    text: str, functions: tuple[Function, ...], tool: str, names: list[str]
) -> None:
    reply = ask(text, *functions)

    assert isinstance(reply, Answer)
    assert f"`{tool}`" in reply.text
    for name in names:
        assert f"`{name}`" in reply.text


EVERYTHING = (*SMALL, send_email, delete_file, book_table, create_event, cancel_order, lookup_order, turn_light)
NOT_FOR_TOOLS = [
    "hello",
    "hi there, how are you?",
    "thanks!",
    "Thank you so much for your help",
    "who are you?",
    "what can you do?",
    "good morning",
    "I'm feeling great today",
    "I live in Paris",
    "I love this weather!",
    "Nice weather today!",
    "My name is Ana",
    "write me a poem",
    "tell me a joke",
    "why is the sky blue?",
    "What is the meaning of life?",
    "how was your weekend?",
    "My order arrived late",
    "the schedule is full",
    "lol",
]


@pytest.mark.parametrize("text", NOT_FOR_TOOLS)
def test_small_talk_and_unrelated_questions_call_nothing(text: str) -> None:
    assert calls_of(ask(text, *EVERYTHING)) == []


NO_EFFECT = [
    "The email you sent was great.",
    "I sent an email to bob@example.com yesterday",
    "Did you send the email to bob@example.com?",
    "who wrote the email?",
    "I scheduled an event for tomorrow at 3pm",
    "How do I cancel order 12?",
    "How do I delete notes.txt?",
    "What happens if I delete notes.txt?",
    "Don't delete notes.txt",
    "Never delete notes.txt",
    "I don't want to cancel my order 12",
    "Should I book a table at Luigi's tomorrow at 7pm for 2?",
    "If it rains, send an email to bob@example.com with subject Rain and body Stay home",
    "She turned off the kitchen light",
    "my table at Luigi's was great, tomorrow at 7pm again",
]


@pytest.mark.parametrize("text", NO_EFFECT)
def test_a_tool_with_an_effect_is_not_called_unless_the_text_asks_for_the_act(text: str) -> None:
    effectful = {"send_email", "delete_file", "book_table", "create_event", "cancel_order", "turn_light"}

    assert not effectful & {name for name, _ in calls_of(ask(text, *EVERYTHING))}


def feed_cat() -> None:
    """Feed the cat."""


@pytest.mark.parametrize("text", ["how is the cat?", "where does the cat sleep", "the cat was hungry", "cat pictures"])
def test_a_tool_named_by_an_unknown_verb_is_taken_to_have_an_effect(text: str) -> None:
    assert calls_of(ask(text, feed_cat)) == []
    assert calls_of(ask("please feed the cat", feed_cat)) == [("feed_cat", {})]


def test_a_tool_that_is_close_in_name_but_not_meant_is_not_called() -> None:
    reply = ask("where is order 991?", cancel_order, lookup_order)

    assert calls_of(reply) == [("lookup_order", {"order_id": "991"})]


def test_a_schema_given_raw_without_types_or_with_references_is_understood() -> None:
    raw: dict[str, Any] = {
        "type": "function",
        "function": {
            "name": "paintRoom",
            "description": "Paint a room.",
            "parameters": {
                "type": "object",
                "$defs": {"Color": {"enum": ["red", "green", "blue"]}},
                "properties": {
                    "color": {"$ref": "#/$defs/Color"},
                    "coats": {"type": ["integer", "null"], "minimum": 1},
                    "notes": {},
                },
                "required": ["color"],
            },
        },
    }
    body: dict[str, Any] = {
        "model": "any",
        "messages": [{"role": "user", "content": "paint the room green, 2 coats"}],
        "tools": [raw],
    }

    assert calls_of(decide(parse_request(body), now=NOW)) == [("paintRoom", {"color": "green", "coats": 2})]


def test_a_tool_without_parameters_or_description_is_called_by_its_name() -> None:
    raw: dict[str, Any] = {"type": "function", "function": {"name": "list_planets"}}
    body: dict[str, Any] = {
        "model": "any",
        "messages": [{"role": "user", "content": "list the planets"}],
        "tools": [raw],
    }

    assert calls_of(decide(parse_request(body), now=NOW)) == [("list_planets", {})]


def test_a_value_outside_the_schema_s_bounds_is_not_sent() -> None:
    def throw(sides: Annotated[int, Field(ge=2, le=100)]) -> None:
        """Throw a die."""

    reply = ask("throw a die with 1000 sides", throw)

    assert isinstance(reply, Answer)
    assert "`sides`" in reply.text


def test_the_same_request_gets_the_same_reply_ids_included() -> None:
    assert ask("What's the weather in Paris and Rome?", *SMALL) == ask("What's the weather in Paris and Rome?", *SMALL)


def test_the_ids_of_parallel_calls_differ() -> None:
    reply = ask("What's the weather in Paris, Rome and Oslo?", *SMALL)

    assert isinstance(reply, CallTools)
    assert len({call.id for call in reply.calls}) == 3
    assert all(call.id.startswith("call_") for call in reply.calls)


def test_every_answer_says_that_no_language_model_wrote_it() -> None:
    for reply in (ask("hello", *SMALL), ask("hello"), ask("What's the weather?", *SMALL)):
        assert isinstance(reply, Answer)
        assert reply.text.endswith("(Written by fixed rules, not by a language model.)")


def test_arguments_are_json() -> None:
    for text, functions, _ in CASES:
        for _, arguments in calls_of(ask(text, *functions)):
            assert json.loads(json.dumps(arguments)) == arguments
