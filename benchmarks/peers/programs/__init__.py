"""What a user writes with each of the peers, as the peer's documentation shows it.

Each `*_client` hands jobs in from outside. `model_calls` is the one way in which all call the model.
Nothing here may import more than the standard library, the openai SDK, redis-py and the packages of its own peer.
"""
