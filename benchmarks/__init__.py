"""What we claim, and the peers we claim it against: `python -m benchmarks NAME`, or `make bench NAME=fan4`.

The order in which a figure comes about:

1. `__main__` finds the benchmark by its name, such as `fan4`;
2. the benchmark starts its `contenders`, one after the other in each round, each on a fresh embedded Redis
   (`measured_processes` starts them and reads what they use; `model_server` plays the model's endpoint);
3. `load` hands jobs in and takes the times;
4. `figures` makes medians of the rounds, the table, and `results/<name>.json`.

Linux only: CPU time and memory of other processes are read from the kernel.
"""
