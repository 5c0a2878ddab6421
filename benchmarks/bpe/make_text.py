#!/usr/bin/env python3
"""Writes English-like text of any size from small real texts, for measuring tokenizers.

    make_text.py --bytes 100000000 --out text.txt FILE...

Sentences of the files in random order, in which some words give way to invented ones. Those are made of the files' own
beginnings and endings of words and come back by Zipf's law, so that the number of distinct words grows with the text as it
does in a language: 100 MB hold some hundred thousand. The same files, size and seed give the same bytes.
"""

import argparse
import bisect
import itertools
import random
import re


def parts_of(words):
    """Beginnings and endings of words, as often as they occur."""
    beginnings, endings = [], []
    for word in words:
        if len(word) >= 4 and word.isalpha():
            cut = len(word) // 2
            beginnings.append(word[:cut])
            endings.append(word[cut:])
    return beginnings, endings


def invented_words(random_numbers, words, count):
    beginnings, endings = parts_of(words)
    middles = [ending[:2] for ending in endings]
    invented = []
    for _ in range(count):
        word = random_numbers.choice(beginnings)
        for _ in range(random_numbers.choice((0, 0, 0, 1, 1, 2))):
            word += random_numbers.choice(middles)
        invented.append(word + random_numbers.choice(endings))
    return invented


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--bytes", type=int, default=100_000_000)
    parser.add_argument("--invented", type=int, default=300_000, help="how many words are invented")
    parser.add_argument("--share", type=float, default=0.15, help="of the words that give way to them")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    numbers = random.Random(options.seed)
    text = "\n".join(open(name, encoding="utf-8").read() for name in options.files)
    sentences = [sentence for sentence in re.split(r"(?<=[.!?;])\s|\n\n+", text) if sentence]
    words = re.findall(r"[A-Za-z]+", text)
    invented = invented_words(numbers, words, options.invented)
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(invented))))
    word_pattern = re.compile(r"[A-Za-z]{3,}")

    def replaced(match):
        if numbers.random() >= options.share:
            return match.group()
        word = invented[bisect.bisect_left(weights, numbers.random() * weights[-1])]
        return word.capitalize() if match.group()[0].isupper() else word

    written = 0
    with open(options.out, "w", encoding="utf-8") as out:
        while written < options.bytes:
            sentence = word_pattern.sub(replaced, numbers.choice(sentences))
            sentence += numbers.choice((" ", " ", " ", "\n", "\n\n"))
            written += out.write(sentence)


if __name__ == "__main__":
    main()
