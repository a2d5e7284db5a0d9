"""The process that compiles schemas: `python -m jobs.ml_worker.constraints.child`. A line of JSON in, a line out.

Of its own, with bounds on processor time and memory: a schema that gets past the bounds of the compiler ends this
process, and neither the worker nor its engine.
"""

import os
import resource
import sys

import msgspec

from jobs.ml_worker.constraints.messages import Compilation, Outcome
from jobs.ml_worker.constraints.refusal import SchemaRefused, TooComplex
from jobs.ml_worker.constraints.schema_grammar import compiled

CPU_S = 2
"""Most processor time for one schema."""
NICENESS = 10
"""Gives way to the engine, which answers those who wait."""
MEMORY_BYTES = 512 * 1024 * 1024


def main() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    decode, encode = msgspec.json.Decoder(Compilation).decode, msgspec.json.Encoder().encode
    for line in sys.stdin.buffer:
        _allow(CPU_S)
        sys.stdout.buffer.write(encode(_outcome(decode(line))) + b"\n")
        sys.stdout.buffer.flush()


def _outcome(asked: Compilation) -> Outcome:
    try:
        found = compiled(asked.schema, strict=asked.strict, unkept=asked.unkept)
    except SchemaRefused as refused:
        return Outcome(error=str(refused), code=refused.code, at=refused.at or ())
    except (MemoryError, RecursionError):
        return Outcome(error="it takes too much memory", code=TooComplex.code)
    return Outcome(grammar=found.grammar, left_out=found.left_out)


def _allow(seconds: int) -> None:
    """So much processor time from now on; the process is ended when it is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


if __name__ == "__main__":
    main()
