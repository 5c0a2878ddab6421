#!/usr/bin/env python3
"""Trains a byte-level BPE vocabulary with Hugging Face's tokenizers and prints what aurelius-bench-bpe prints.

    hf_train.py FILE [--vocab-size N] [--min-count N] [--pattern gpt2|gpt4]

The file is fed in stretches of about a MiB, which end before a line that begins with a letter, so that threads have work.
"""

import argparse
import json
import resource
import time

import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def stretches(path, size=1 << 20):
    with open(path, encoding="utf-8", newline="") as file:
        held = ""
        for line in file:
            if len(held) >= size and line[0].isalpha():
                yield held
                held = ""
            held += line
        yield held


def tokenizer_of(pattern):
    tokenizer = Tokenizer(models.BPE())
    if pattern == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        split = pre_tokenizers.Split(Regex(GPT4), behavior="isolated")
        bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_alone])
    return tokenizer


def hash_of(merges):
    value = 0xCBF29CE484222325
    for pair in merges:
        for token in pair:
            for byte in token.to_bytes(4, "little"):
                value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--vocab-size", type=int, default=32000)
    parser.add_argument("--min-count", type=int, default=0)
    parser.add_argument("--pattern", choices=("gpt2", "gpt4"), default="gpt2")
    options = parser.parse_args()
    tokenizer = tokenizer_of(options.pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocab_size,
        min_frequency=options.min_count,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    begun = time.monotonic()
    tokenizer.train_from_iterator(stretches(options.file), trainer)
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = json.loads(tokenizer.to_str())["model"]
    merges = [[model["vocab"][token] for token in pair] for pair in model["merges"]]
    said = {
        "seconds": round(seconds, 3),
        "peak_mb": round(peak, 1),
        "tokens": len(model["vocab"]),
        "merges": len(merges),
        "hash": hash_of(merges),
        "tokenizers": tokenizers.__version__,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
