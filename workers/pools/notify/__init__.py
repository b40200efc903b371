"""The notify pool: `schedule_viewing` and `send_message`, whose effect is `unsafe`.

`tools` checks what is to be sent and puts it into `outbox`, a table. A sender of the operator's reads it from there.
"""

from workers.pools.notify.tools import schedule_viewing, send_message

__all__ = ["schedule_viewing", "send_message"]
