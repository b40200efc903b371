"""What the finance tools answer. Amounts are USD with cents, as decimal strings in JSON."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

__all__ = ["Affordability", "AmortizationSchedule", "MonthlyLine", "MortgagePayment", "YearlyLine"]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MortgagePayment(_Result):
    """What a home costs each month, and what its loan costs in all."""

    loan_amount: Decimal
    principal_and_interest: Decimal
    """The regular monthly payment of the loan."""
    monthly_tax: Decimal
    monthly_insurance: Decimal
    monthly_association_fee: Decimal
    monthly_total: Decimal
    total_interest: Decimal
    total_paid: Decimal
    """Principal and interest over the whole term."""
    payments: int


class YearlyLine(_Result):
    """Twelve payments of a schedule; in the last year, what is left of them."""

    year: int
    payments: Decimal
    interest: Decimal
    principal: Decimal
    balance: Decimal
    """What is owed at the end of the year."""


class MonthlyLine(_Result):
    """One payment of a schedule."""

    month: int
    payment: Decimal
    interest: Decimal
    principal: Decimal
    balance: Decimal
    """What is owed after the payment."""


class AmortizationSchedule(_Result):
    """A loan over time. The totals are those of the whole loan, whatever lines are shown."""

    monthly_payment: Decimal
    last_payment: Decimal
    payments: int
    total_interest: Decimal
    total_paid: Decimal
    yearly: list[YearlyLine] = []
    monthly: list[MonthlyLine] = []


class Affordability(_Result):
    """What a household can borrow within the usual limits on the share of its income that goes into debt."""

    maximum_price: Decimal
    """The loan and the down payment."""
    maximum_loan: Decimal
    maximum_housing_payment: Decimal
    """What may go into housing each month, with taxes and insurance."""
    principal_and_interest: Decimal
    """The monthly payment of that loan."""
    limited_by: str
    """Which of the two limits decides: `housing share` or `total debt share`."""
    explanation: str
