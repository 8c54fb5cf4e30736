"""What native code and its host agree on: the first slots of a context, and how work is shared."""

from __future__ import annotations

#: The first slots of a context, the table of 64-bit numbers that native code reads.
POOL, BATCH_SIZE, ROWS, BEGIN, STEPS, ORDER, SCRATCH, IS_PREPARED, FIRST_FREE = range(9)

#: Kernels with at least so many elementary operations are run by all threads.
PARALLEL_WORK = 1 << 18
#: The most parts a kernel is split into: enough that threads of unequal speed end together.
CHUNKS = 16
