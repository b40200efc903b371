"""What performs: tools, and the policies around a call of one.

The order in which a call flows through these files:

1. `tool` declares a tool (with `declaration`, `signature`, `docstring` …), `registry` finds the declared ones, and
   their
   specifications are published in the catalogue;
2. `perform` claims a call, sends it through `policies` in one visible order, and records its outcome;
3. `running` runs the function, on the event loop, on one of `tool_threads`, or in one of `tool_processes`; `result` and
   `failure_text` make what the
   model reads.

`app` declares the actor, `process` runs it for one pool. `pools` holds the tools that ship. This package never imports
the orchestrator, nor the openai SDK.
"""
