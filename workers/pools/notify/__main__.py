"""`python -m workers.pools.notify`: makes the outbox in the database of the settings. Needed for PostgreSQL only."""

from workers.pools.notify.outbox import create_outbox, open_outbox

if __name__ == "__main__":
    create_outbox(open_outbox().database)
