"""Who does the benchmarks' jobs: Trunkline, and what people write by hand on Dramatiq.

1. `contender` says what they have in common;
2. `trunkline_contender` is ours, its tool is in `look_up_tool`;
3. `bare_contender` is the other, its actors are in `bare_actors`.
"""
