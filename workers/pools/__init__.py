"""The tool pools that ship, each useful as it is and an example of how to write one.

- `finance`: pure functions; the place to start reading.
- `property`: questions to a database; `read`, cached.
- `web`: an async tool that talks to the outside, and what that takes.
- `notify`: deeds in the world; `unsafe`.

`database` is no pool: `property` and `notify` keep their rows with it. A pool is a module `<pool>.py`, or a package
with its tools in `<pool>/tools.py`. It knows `workers.tool`, `workers.context` and `workers.errors`, not queues.
"""
