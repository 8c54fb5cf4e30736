"""The peers. Each is a process that measures when it is told to; see `benchmarks.worker`."""
