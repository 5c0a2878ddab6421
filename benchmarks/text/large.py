#!/usr/bin/env python3
"""Writes text of any size, fast, from a smaller one, for measuring memory.

    large.py --bytes 10000000000 --out large.txt TEXT...

The texts again and again, each time with their stretches of twenty lines in another order and a number between each
two: no two passes are alike, and words are those of the texts.
"""

import argparse
import pathlib
import random

LINES = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=pathlib.Path, metavar="TEXT")
    parser.add_argument("--bytes", type=int, required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    options = parser.parse_args()
    lines = [line for text in options.texts for line in text.read_bytes().splitlines(keepends=True)]
    stretches = [b"".join(lines[i : i + LINES]) for i in range(0, len(lines), LINES)]
    numbers, left, stretch = random.Random(1), options.bytes, 0
    with options.out.open("wb") as file:
        while left > 0:
            numbers.shuffle(stretches)
            for each in stretches:
                out = (b"%d\n" % (stretch % 1000000) + each)[: max(left, 0)]
                file.write(out)
                left -= len(out)
                stretch += 1


if __name__ == "__main__":
    main()
