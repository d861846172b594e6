"""Planted secrets in synthesis by rules: what leaks, and what is left without an answer.

    python -m benchmarks.leaks [--texts 20000] [--seed 0] [--shown 20] [--json FILE]

Makes records with secrets of every kind (`planted.py`), synthesizes with the `rules` backend (no
language model), and has every accepted answer and question variant read by a checker that shares no
code with relearn's own checks (`checker.py`). Ends with 1 if anything leaked.
"""

import argparse
import sys
import time

from benchmarks.leaks.measure import measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=20_000, help="accepted texts to reach")
    parser.add_argument("--records", type=int, default=500, help="of a forget set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shown", type=int, default=20, help="leaks and unanswered to print")
    arguments = parser.parse_args()
    start, seed = time.perf_counter(), arguments.seed
    total = measure(arguments.records, seed)
    while total.texts < arguments.texts:
        seed += 1
        total += measure(arguments.records, seed)
        print(total, f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    for line in total.lines(arguments.shown):
        print(line)
    sys.exit(bool(total.leaks))


if __name__ == "__main__":
    main()
