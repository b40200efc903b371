"""The arithmetic of a loan that is paid back in equal monthly payments. Exact: decimal, never binary floating point.

Every amount that changes hands (a payment, a month's interest) is rounded to cents, half up, when it is computed, as
lenders do. What these roundings leave is in the last payment, so that the balance ends at exactly 0.00. Pure: this
module must not know tools.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Final

__all__ = ["MonthOfLoan", "cents", "exact", "largest_loan", "monthly_payment", "schedule"]

CENT: Final = Decimal("0.01")
ZERO: Final = Decimal("0.00")
#: The context of all arithmetic here, so that nobody's change of the thread's own context reaches it.
_EXACT: Final = Context(prec=40, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class MonthOfLoan:
    """One payment, and what it does. `payment == interest + principal`; all in USD with cents."""

    number: int
    """Counted from 1."""
    payment: Decimal
    interest: Decimal
    principal: Decimal
    balance: Decimal
    """What is owed after the payment."""


def exact(number: float) -> Decimal:
    """The decimal number that was written, such as 6.1 for the float nearest to it."""
    return Decimal(repr(number))


def cents(amount: Decimal) -> Decimal:
    """`amount` in whole cents, half up."""
    return amount.quantize(CENT, context=_EXACT)


def monthly_payment(principal: Decimal, *, annual_rate_percent: Decimal, months: int) -> Decimal:
    """The payment that ends a loan in `months`: P·r / (1 − (1 + r)^−n), to the cent; P / n without interest."""
    with localcontext(_EXACT):
        rate = annual_rate_percent / 1200
        if rate == 0:
            return cents(principal / months)
        return cents(principal * rate / (1 - (1 + rate) ** -months))


def schedule(
    principal: Decimal, *, annual_rate_percent: Decimal, months: int, extra: Decimal = ZERO
) -> Iterator[MonthOfLoan]:
    """The loan month by month until nothing is owed: after `months` at the latest.

    Args:
        principal: What is borrowed, in USD with cents.
        annual_rate_percent: The nominal rate, a twelfth of which is due each month; 0 is allowed.
        months: The term.
        extra: Paid on top of each payment; ends the loan earlier.

    Yields:
        One entry for each month. The last payment is what is left, so it differs from the others; at very high rates
        over very long terms by more than cents, because a rounding in an early month grows with interest.
    """
    regular = _EXACT.add(monthly_payment(principal, annual_rate_percent=annual_rate_percent, months=months), extra)
    balance = cents(principal)
    for number in range(1, months + 1):
        with localcontext(_EXACT):
            interest = cents(balance * annual_rate_percent / 1200)
            owed = balance + interest
            payment = owed if number == months else min(regular, owed)
            balance = owed - payment
            month = MonthOfLoan(number, payment, interest, payment - interest, balance)
        yield month
        if balance == 0:
            return


def largest_loan(payment: Decimal, *, annual_rate_percent: Decimal, months: int) -> Decimal:
    """The largest loan in whole USD whose monthly payment is at most `payment`, which is in whole cents; or 0."""
    with localcontext(_EXACT):
        rate = annual_rate_percent / 1200
        factor = Decimal(months) if rate == 0 else (1 - (1 + rate) ** -months) / rate
        return max(ZERO, payment * factor).quantize(Decimal(1), rounding=ROUND_DOWN)
