"""A rule-based stand-in for a language model, behind the chat completions API. It is no language model, and says so.

It lets the demo, a newcomer's first tool and the tests run without a key and without a network. It matches what the
user wrote against the names, descriptions and JSON Schemas of whatever tools a request offers, fills their arguments
from the text, uses the results of one turn for the calls of the next, and writes the results down.

How a request flows through these files:

    server -> request               HTTP, then a checked body
    decide                          the decision, pure
      conversation, results         what was asked, which calls were made, and what came of them
      offered, roles                the tools' schemas, and what each parameter is for
      steps                         the request as calls it asks for, from its text alone
        clauses                     its clauses, and all they mention, which is read by
          literals, names, dates, quantities   into `mention`s
        relevance, effects          which tools a clause is about, by `words` and `vocabulary`
        arguments                   their parameters, filled by
          choices, fits, number_fits, lists, free_text, arithmetic, timezones   on a `filling`
      plan                          which steps to call now; what others lack
        resolve, references         values from results: "the first one", "it"
        repair                      one new try for rejected arguments
      answer, formatting            the text, when there is nothing to call
    completion -> server            the body or the stream
"""

from trunkline.offline_model.completion import MODEL_NAME
from trunkline.offline_model.decide import Answer, Call, CallTools, Reply, decide
from trunkline.offline_model.request import BadRequest, ChatRequest, parse_request
from trunkline.offline_model.server import OfflineModelServer

__all__ = [
    "MODEL_NAME",
    "Answer",
    "BadRequest",
    "Call",
    "CallTools",
    "ChatRequest",
    "OfflineModelServer",
    "Reply",
    "decide",
    "parse_request",
]
