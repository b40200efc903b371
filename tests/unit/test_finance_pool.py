"""The finance pool: golden numbers from published tables, and what must hold for every loan."""

from decimal import Decimal, localcontext
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.errors import ArgumentsRejected
from workers.pools.finance.loan import cents, exact, largest_loan, monthly_payment, schedule
from workers.pools.finance.tools import affordability, amortization_schedule, mortgage_payment

_CENT: Final = Decimal("0.01")

#: How long an example may take says nothing about these functions, and much about the machine.
unhurried = settings(deadline=None)

principals = st.integers(min_value=100_00, max_value=100_000_000_00).map(lambda number: Decimal(number) / 100)
rates = st.integers(min_value=0, max_value=25_000).map(lambda number: Decimal(number) / 1000)
terms = st.integers(min_value=1, max_value=480)


# Golden numbers


@pytest.mark.parametrize(
    ("principal", "rate", "years", "payment"),
    [
        ("100000", "6", 30, "599.55"),
        ("200000", "6.5", 30, "1264.14"),
        ("300000", "6.5", 30, "1896.20"),
        ("250000", "4.5", 15, "1912.48"),
        ("165000", "4.5", 30, "836.03"),
        ("100000", "12", 1, "8884.88"),
        ("120000", "0", 10, "1000.00"),
        ("100000", "0", 30, "277.78"),
    ],
)
def test_the_monthly_payment_is_that_of_published_tables(principal: str, rate: str, years: int, payment: str) -> None:
    computed = monthly_payment(Decimal(principal), annual_rate_percent=Decimal(rate), months=years * 12)
    assert computed == Decimal(payment)


def test_a_year_of_a_loan_is_paid_off_to_the_cent() -> None:
    months = list(schedule(Decimal("1000.00"), annual_rate_percent=Decimal(12), months=12))
    assert [str(month.interest) for month in months[:3]] == ["10.00", "9.21", "8.42"]
    assert [str(month.balance) for month in months[:3]] == ["921.15", "841.51", "761.08"]
    assert {str(month.payment) for month in months[:-1]} == {"88.85"}
    assert str(months[-1].payment) == "88.84"
    assert str(months[-1].balance) == "0.00"


def test_a_mortgage_is_summed_up_with_taxes_insurance_and_fees() -> None:
    result = mortgage_payment(
        500_000,
        6.5,
        years=30,
        down_payment_percent=20,
        annual_property_tax=6_000,
        annual_insurance=1_800,
        monthly_association_fee=85.5,
    )
    assert result.loan_amount == Decimal("400000.00")
    assert result.principal_and_interest == Decimal("2528.27")
    assert (result.monthly_tax, result.monthly_insurance) == (Decimal("500.00"), Decimal("150.00"))
    assert result.monthly_total == Decimal("3263.77")
    assert result.payments == 360
    assert result.total_paid == result.loan_amount + result.total_interest
    assert result.total_interest == pytest.approx(Decimal("510177.95"), abs=3)


def test_amounts_are_written_with_cents() -> None:
    assert mortgage_payment(120_000, 0, years=10).model_dump(mode="json")["principal_and_interest"] == "1000.00"


def test_a_down_payment_in_usd_and_in_percent_are_the_same() -> None:
    assert mortgage_payment(400_000, 5, down_payment=80_000) == mortgage_payment(400_000, 5, down_payment_percent=20)


def test_the_household_of_the_28_36_rule_is_limited_by_the_smaller_share() -> None:
    by_housing = affordability(120_000, 6.5, monthly_debts=500, down_payment=50_000)
    assert by_housing.maximum_housing_payment == Decimal("2800.00")
    assert by_housing.limited_by == "housing share"
    by_debt = affordability(120_000, 6.5, monthly_debts=1_500, down_payment=50_000)
    assert by_debt.maximum_housing_payment == Decimal("2100.00")
    assert by_debt.limited_by == "total debt share"
    assert by_debt.maximum_loan == Decimal("332242.00")
    assert by_debt.principal_and_interest == Decimal("2100.00")
    assert by_debt.maximum_price == Decimal("382242.00")


def test_a_household_with_too_many_debts_affords_only_its_down_payment() -> None:
    result = affordability(30_000, 7, monthly_debts=5_000, down_payment=10_000)
    assert result.maximum_housing_payment == result.maximum_loan == result.principal_and_interest == 0
    assert result.maximum_price == Decimal("10000.00")
    assert "leaves $0.00" in result.explanation


def test_tax_and_insurance_come_out_of_what_housing_may_cost() -> None:
    without, with_tax = affordability(90_000, 6), affordability(90_000, 6, monthly_tax_and_insurance=400)
    assert with_tax.maximum_housing_payment == without.maximum_housing_payment == Decimal("2100.00")
    assert with_tax.principal_and_interest <= Decimal("1700.00") < without.principal_and_interest


# What must hold for every loan


@unhurried
@given(principal=principals, rate=rates, months=terms)
def test_every_loan_ends_at_zero_and_pays_back_exactly_what_was_borrowed(
    principal: Decimal, rate: Decimal, months: int
) -> None:
    every = list(schedule(principal, annual_rate_percent=rate, months=months))
    assert every[-1].balance == 0
    assert sum(month.principal for month in every) == principal
    assert len(every) <= months
    assert [month.number for month in every] == list(range(1, len(every) + 1))
    owed = principal
    for month in every:
        assert month.payment == month.interest + month.principal
        assert month.principal >= 0
        assert month.interest >= 0
        assert month.balance == owed - month.principal
        assert cents(month.payment) == month.payment
        owed = month.balance


@unhurried
@given(principal=principals, rate=rates, months=terms)
def test_all_payments_but_the_last_are_the_monthly_payment(principal: Decimal, rate: Decimal, months: int) -> None:
    regular = monthly_payment(principal, annual_rate_percent=rate, months=months)
    *before, last = schedule(principal, annual_rate_percent=rate, months=months)
    assert all(month.payment == regular for month in before)
    # Half a cent in each payment and in each interest, grown with interest until the end.
    assert 0 < last.payment <= regular + months * _CENT * (1 + rate / 1200) ** months


@unhurried
@given(principal=principals, rate=rates, months=terms, extra=principals)
def test_paying_more_never_takes_longer_or_costs_more(
    principal: Decimal, rate: Decimal, months: int, extra: Decimal
) -> None:
    slow = list(schedule(principal, annual_rate_percent=rate, months=months))
    fast = list(schedule(principal, annual_rate_percent=rate, months=months, extra=extra))
    assert len(fast) <= len(slow)
    assert sum(month.interest for month in fast) <= sum(month.interest for month in slow)
    assert fast[-1].balance == 0
    assert sum(month.principal for month in fast) == principal


@unhurried
@given(payment=st.integers(min_value=0, max_value=10_000_000).map(lambda n: Decimal(n) / 100), rate=rates, months=terms)
def test_the_largest_loan_is_affordable_and_a_dollar_per_month_more_would_not_be(
    payment: Decimal, rate: Decimal, months: int
) -> None:
    loan = largest_loan(payment, annual_rate_percent=rate, months=months)
    assert monthly_payment(loan, annual_rate_percent=rate, months=months) <= payment
    assert monthly_payment(loan + 2 * months, annual_rate_percent=rate, months=months) > payment - _CENT


@unhurried
@given(number=st.decimals(min_value=0, max_value=10**9, places=2))
def test_a_number_is_taken_as_it_was_written(number: Decimal) -> None:
    assert exact(float(number)) == number


def test_another_decimal_context_of_the_thread_changes_nothing() -> None:
    loan, rate, extra = Decimal("301234.56"), Decimal("6.5"), Decimal("10.01")
    expected = list(schedule(loan, annual_rate_percent=rate, months=360, extra=extra))
    with localcontext() as context:
        context.prec = 3
        assert list(schedule(loan, annual_rate_percent=rate, months=360, extra=extra)) == expected


# What a result shows


def test_a_schedule_by_year_has_one_line_for_each_year_and_sums_up_to_the_totals() -> None:
    result = amortization_schedule(300_000, 6.5, years=30)
    assert [line.year for line in result.yearly] == list(range(1, 31))
    assert sum(line.principal for line in result.yearly) == 300_000
    assert sum(line.interest for line in result.yearly) == result.total_interest
    assert result.yearly[-1].balance == 0
    assert result.monthly == []


def test_a_schedule_by_month_shows_the_months_that_were_asked_for() -> None:
    result = amortization_schedule(300_000, 6.5, detail="monthly", first_month=13, months_shown=24)
    assert [line.month for line in result.monthly] == list(range(13, 37))
    assert result.yearly == []
    assert result.payments == 360


def test_months_after_the_end_are_not_shown() -> None:
    assert amortization_schedule(1_200, 0, years=1, detail="monthly", first_month=13).monthly == []
    assert len(amortization_schedule(1_200, 0, years=1, detail="monthly", first_month=10).monthly) == 3


def test_paying_more_ends_the_loan_earlier() -> None:
    result = amortization_schedule(300_000, 6.5, extra_monthly_payment=500)
    assert result.monthly_payment == Decimal("2396.20")
    assert result.payments < 250
    assert result.yearly[-1].balance == 0


def test_the_largest_result_is_small() -> None:
    most = amortization_schedule(1e9, 25, years=40, detail="monthly", months_shown=60)
    assert len(most.model_dump_json()) < 10_000
    assert len(amortization_schedule(1e9, 25, years=40).model_dump_json()) < 10_000


# Arguments


def test_two_kinds_of_down_payment_at_once_are_rejected() -> None:
    with pytest.raises(ArgumentsRejected, match="down_payment_percent: give it or down_payment, not both"):
        mortgage_payment(400_000, 5, down_payment=1, down_payment_percent=20)


def test_a_down_payment_that_leaves_no_loan_is_rejected() -> None:
    with pytest.raises(ArgumentsRejected, match="leaves no loan"):
        mortgage_payment(400_000, 5, down_payment=400_000)


@pytest.mark.parametrize(
    "arguments",
    [
        {"price": 0, "annual_rate_percent": 6},
        {"price": -5, "annual_rate_percent": 6},
        {"price": float("nan"), "annual_rate_percent": 6},
        {"price": float("inf"), "annual_rate_percent": 6},
        {"price": 1e12, "annual_rate_percent": 6},
        {"price": 400_000, "annual_rate_percent": -1},
        {"price": 400_000, "annual_rate_percent": 600},
        {"price": 400_000, "annual_rate_percent": 6, "years": 0},
        {"price": 400_000, "annual_rate_percent": 6, "years": 200},
        {"price": 400_000, "annual_rate_percent": 6, "down_payment_percent": 100},
        {"price": "much", "annual_rate_percent": 6},
    ],
)
def test_absurd_arguments_are_rejected(arguments: dict[str, object]) -> None:
    with pytest.raises(ArgumentsRejected):
        mortgage_payment.validate_arguments(arguments)


def test_a_monthly_schedule_is_capped_by_its_arguments() -> None:
    with pytest.raises(ArgumentsRejected, match="months_shown"):
        amortization_schedule.validate_arguments(
            {"loan_amount": 1000, "annual_rate_percent": 5, "detail": "monthly", "months_shown": 480}
        )
