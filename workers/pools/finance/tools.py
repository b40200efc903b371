"""The tools of the finance pool: mortgages. Pure functions, so they are the simplest example of a pool.

Numbers come as JSON numbers and are taken as the decimals that were written. This module must not know arithmetic
beyond sums: that is `loan`.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from itertools import groupby
from typing import Annotated, Final, Literal

from annotated_types import Ge, Gt, Le

from workers.errors import ArgumentsRejected
from workers.pools.finance.loan import (
    CENT,
    ZERO,
    MonthOfLoan,
    cents,
    exact,
    largest_loan,
    monthly_payment,
    schedule,
)
from workers.pools.finance.results import (
    Affordability,
    AmortizationSchedule,
    MonthlyLine,
    MortgagePayment,
    YearlyLine,
)
from workers.tool import tool

__all__ = ["affordability", "amortization_schedule", "mortgage_payment"]

_TIMEOUT: Final = timedelta(seconds=5)
#: More lines than this say nothing to a reader and cost a model its context.
_MOST_MONTHS_SHOWN: Final = 60

AnnualRate = Annotated[float, "Nominal annual interest rate in percent, such as 6.5; 0 for none", Ge(0), Le(25)]
Years = Annotated[int, "Term of the loan in years", Ge(1), Le(40)]


@tool(pool="finance", version="1.0.0", effect="read", timeout=_TIMEOUT, permissions={"finance:calculate"})
def mortgage_payment(
    price: Annotated[float, "Price of the home in USD; the loan amount itself if nothing is paid down", Gt(0), Le(1e9)],
    annual_rate_percent: AnnualRate,
    years: Years = 30,
    down_payment: Annotated[float | None, "Down payment in USD", Ge(0), Le(1e9)] = None,
    down_payment_percent: Annotated[
        float | None, "Down payment in percent of the price, instead", Ge(0), Le(99)
    ] = None,
    annual_property_tax: Annotated[float, "Property tax in USD a year", Ge(0), Le(1e7)] = 0,
    annual_insurance: Annotated[float, "Home insurance in USD a year", Ge(0), Le(1e7)] = 0,
    monthly_association_fee: Annotated[float, "Owners' association fee in USD a month", Ge(0), Le(1e6)] = 0,
) -> MortgagePayment:
    """Calculate the monthly payment of a fixed-rate mortgage and its total interest, with taxes and insurance."""
    loan = _loan_amount(price, down_payment, down_payment_percent)
    rate = exact(annual_rate_percent)
    regular = monthly_payment(loan, annual_rate_percent=rate, months=years * 12)
    months = list(schedule(loan, annual_rate_percent=rate, months=years * 12))
    tax, insurance = cents(exact(annual_property_tax) / 12), cents(exact(annual_insurance) / 12)
    fee = cents(exact(monthly_association_fee))
    interest = sum((month.interest for month in months), ZERO)
    return MortgagePayment(
        loan_amount=loan,
        principal_and_interest=regular,
        monthly_tax=tax,
        monthly_insurance=insurance,
        monthly_association_fee=fee,
        monthly_total=regular + tax + insurance + fee,
        total_interest=interest,
        total_paid=loan + interest,
        payments=len(months),
    )


@tool(pool="finance", version="1.0.0", effect="read", timeout=_TIMEOUT, permissions={"finance:calculate"})
def amortization_schedule(
    loan_amount: Annotated[float, "What is borrowed in USD", Ge(100), Le(1e9)],
    annual_rate_percent: AnnualRate,
    years: Years = 30,
    extra_monthly_payment: Annotated[float, "Paid on top each month, in USD", Ge(0), Le(1e8)] = 0,
    detail: Annotated[Literal["yearly", "monthly"], "A line for each year or for each month"] = "yearly",
    first_month: Annotated[int, "With monthly detail: the first month shown, counted from 1", Ge(1), Le(480)] = 1,
    months_shown: Annotated[int, "With monthly detail: how many months", Ge(1), Le(_MOST_MONTHS_SHOWN)] = 12,
) -> AmortizationSchedule:
    """Show how a loan is paid off over time: interest, principal and balance, by year or by month."""
    loan, rate, extra = cents(exact(loan_amount)), exact(annual_rate_percent), cents(exact(extra_monthly_payment))
    months = list(schedule(loan, annual_rate_percent=rate, months=years * 12, extra=extra))
    interest = sum((month.interest for month in months), ZERO)
    shown = months[first_month - 1 : first_month - 1 + months_shown]
    return AmortizationSchedule(
        monthly_payment=months[0].payment,
        last_payment=months[-1].payment,
        payments=len(months),
        total_interest=interest,
        total_paid=loan + interest,
        yearly=_by_year(months) if detail == "yearly" else [],
        monthly=[_line(month) for month in shown] if detail == "monthly" else [],
    )


@tool(pool="finance", version="1.0.0", effect="read", timeout=_TIMEOUT, permissions={"finance:calculate"})
def affordability(
    annual_income: Annotated[float, "Household income before tax, in USD a year", Gt(0), Le(1e9)],
    annual_rate_percent: AnnualRate,
    years: Years = 30,
    monthly_debts: Annotated[float, "Other debt payments in USD a month: cars, cards, students", Ge(0), Le(1e8)] = 0,
    down_payment: Annotated[float, "Savings for the down payment in USD", Ge(0), Le(1e9)] = 0,
    monthly_tax_and_insurance: Annotated[float, "Property tax and insurance in USD a month", Ge(0), Le(1e6)] = 0,
    housing_limit_percent: Annotated[float, "Most of the income that may go into housing", Gt(0), Le(100)] = 28,
    debt_limit_percent: Annotated[float, "Most of the income that may go into all debts", Gt(0), Le(100)] = 36,
) -> Affordability:
    """Calculate which home price and loan a household can afford, by the usual debt-to-income limits (28/36 rule)."""
    months, rate = years * 12, exact(annual_rate_percent)
    income, debts = exact(annual_income) / 12, cents(exact(monthly_debts))
    for_housing = _down(income * exact(housing_limit_percent) / 100)
    for_debt = _down(income * exact(debt_limit_percent) / 100) - debts
    housing = max(ZERO, min(for_housing, for_debt))
    payable = max(ZERO, housing - cents(exact(monthly_tax_and_insurance)))
    loan = largest_loan(payable, annual_rate_percent=rate, months=months)
    limited_by = "housing share" if for_housing <= for_debt else "total debt share"
    return Affordability(
        maximum_price=cents(loan + exact(down_payment)),
        maximum_loan=cents(loan),
        maximum_housing_payment=housing,
        principal_and_interest=monthly_payment(loan, annual_rate_percent=rate, months=months),
        limited_by=limited_by,
        explanation=(
            f"{housing_limit_percent:g}% of the monthly income is ${for_housing:,}; {debt_limit_percent:g}% less other "
            f"debts leaves ${max(ZERO, for_debt):,}. The smaller, by {limited_by}, is what housing may cost."
        ),
    )


def _loan_amount(price: float, down_payment: float | None, down_payment_percent: float | None) -> Decimal:
    if down_payment is not None and down_payment_percent is not None:
        raise ArgumentsRejected([("down_payment_percent", "give it or down_payment, not both")])
    paid_down = exact(down_payment or 0) + exact(price) * exact(down_payment_percent or 0) / 100
    loan = cents(exact(price) - paid_down)
    if loan < 100:
        raise ArgumentsRejected([("down_payment", f"${paid_down:,.2f} of ${price:,} leaves no loan of $100 or more")])
    return loan


def _by_year(months: Sequence[MonthOfLoan]) -> list[YearlyLine]:
    lines = []
    for year, group in groupby(months, key=lambda month: (month.number + 11) // 12):
        of_year = list(group)
        lines.append(
            YearlyLine(
                year=year,
                payments=sum((month.payment for month in of_year), ZERO),
                interest=sum((month.interest for month in of_year), ZERO),
                principal=sum((month.principal for month in of_year), ZERO),
                balance=of_year[-1].balance,
            )
        )
    return lines


def _line(month: MonthOfLoan) -> MonthlyLine:
    return MonthlyLine(
        month=month.number,
        payment=month.payment,
        interest=month.interest,
        principal=month.principal,
        balance=month.balance,
    )


def _down(amount: Decimal) -> Decimal:
    """Whole cents, never more than `amount`."""
    return amount.quantize(CENT, rounding=ROUND_DOWN)
