"""What decides: takes jobs in, calls the model, sends its tool calls out, and ends jobs.

The order in which a job flows through these files:

1. `intake` takes an `accept_job` message into the ledger (the client does the same without a message);
2. `take_turn` claims a turn, `tool_offer` picks the tools that the model may see, `model_client` calls it
   (`openai_chat` for real, `scripted_model` for tests);
3. `next_step` decides, purely, what follows: `Finish`, `CallTools`, `TryAgain` or `Fail`; `retry_policy` decides how
   often
   and when a failed model call is tried again;
4. `take_turn` records that step, and the ledger's script sends what it leads to;
5. `endings` handles deadlines, and dead letters that somebody waits for; `sweeper` looks for what was forgotten.

`app` declares the actors, `process` runs them. This package learns of tools from the catalogue only.
"""
