"""One party's own work, on processes or machines of its own: what crosses to them, and how it is sealed.

      driver (the party's run)                                   worker 0 ... count - 1 (one process each)
      Seal.call(worker, operation, values, ciphers)
      Job worker, operation, arguments  ---------------------->  execute(state, operation, arguments)
      Seal.answer(...)                  <----------------------  all sealed

`Workers` (calls.py) carries jobs and answers, which it cannot read: an engine (Ray, Dask) is an adapter of a few
lines. A worker process runs `execute` (run.py) and knows a closed table of operations (table.py), and takes nothing
but integers, bytes, texts and arrays of integers. Everything is encrypted under a key from the party's own secret
file, which drivers and workers read and no call holds (seal.py). A worker may be lost, and an empty one take its
place, at any time: whoever asks it for what it has forgotten builds that again (`Forgotten`).

Who learns what: the workers of one party what that party knows; nothing crosses to another party.
"""
