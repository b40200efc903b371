"""The finance pool: `mortgage_payment`, `amortization_schedule` and `affordability`.

`tools` takes numbers, `loan` computes with them exactly, and `results` is what comes out.
"""

from workers.pools.finance.tools import affordability, amortization_schedule, mortgage_payment

__all__ = ["affordability", "amortization_schedule", "mortgage_payment"]
