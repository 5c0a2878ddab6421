#!/usr/bin/env python3
"""Makes bpe_train.json: what Hugging Face's trainer of byte-level BPE makes of texts. Run by hand:

    pip install tokenizers==0.23.3
    make_bpe_golden.py FOLDER    # which holds meditations.txt and shakespeare.txt

Merges are pairs of ids. Of the small text beside this file all of them are kept, of the others a hash and some.
"""

import json
import os
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
HERE = os.path.dirname(os.path.abspath(__file__))

# text, pattern, vocab_size, min_frequency, special tokens
CASES = [
    ("bpe_small.txt", "gpt2", 300, 1, []),
    ("bpe_small.txt", "gpt2", 1000, 1, ["<|endoftext|>"]),
    ("bpe_small.txt", "gpt4", 1000, 1, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
    ("bpe_small.txt", "gpt2", 1000, 2, []),
    ("bpe_small.txt", "gpt4", 5000, 5, []),
    # names that merges arrive at too, and one that they would if the space were shown as it is
    ("bpe_small.txt", "gpt2", 700, 1, ["th", "ab", "har", " the", "é!"]),
    ("bpe_small.txt", "gpt2", 256, 1, []),
]
for text in ("meditations.txt", "shakespeare.txt"):
    CASES += [
        (text, "gpt2", 300, 1, []),
        (text, "gpt2", 1000, 1, ["<|endoftext|>"]),
        (text, "gpt4", 1000, 2, []),
        (text, "gpt2", 5000, 2, ["<|endoftext|>", "<|pad|>"]),
        (text, "gpt4", 5000, 5, ["<|endoftext|>"]),
        (text, "gpt2", 30000, 1, []),
        (text, "gpt4", 30000, 5, []),
    ]


def tokenizer_of(pattern):
    tokenizer = Tokenizer(models.BPE())
    if pattern == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        split = pre_tokenizers.Split(Regex(GPT4), behavior="isolated")
        bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_alone])
    return tokenizer


def train(text, pattern, vocab_size, min_frequency, specials):
    tokenizer = tokenizer_of(pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=specials,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([text], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return len(model["vocab"]), [[model["vocab"][token] for token in pair] for pair in model["merges"]]


def hash_of(merges):
    """FNV-1a over the ids, four bytes each."""
    value = 0xCBF29CE484222325
    for pair in merges:
        for token in pair:
            for byte in token.to_bytes(4, "little"):
                value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main():
    folder, cases = sys.argv[1], []
    for name, pattern, vocab_size, min_frequency, specials in CASES:
        small = name == "bpe_small.txt"
        with open(os.path.join(HERE if small else folder, name), encoding="utf-8", newline="") as file:
            text = file.read()
        tokens, merges = train(text, pattern, vocab_size, min_frequency, specials)
        # Threads and hash tables of the trainer must not show.
        for _ in range(3):
            if train(text, pattern, vocab_size, min_frequency, specials) != (tokens, merges):
                sys.exit(f"{name}: the trainer gives other merges a second time")
        case = {"text": name, "pattern": pattern, "vocab_size": vocab_size, "min_count": min_frequency}
        case |= {"specials": specials, "tokens": tokens, "n_merges": len(merges), "hash": hash_of(merges)}
        case |= {"merges": merges} if small else {"first": merges[:8], "last": merges[-8:]}
        cases.append(case)
    with open(os.path.join(HERE, "bpe_train.json"), "w", encoding="utf-8") as file:
        beginning = json.dumps({"made_with": "tokenizers " + tokenizers.__version__})[:-1]
        file.write(beginning + ', "cases": [\n')
        file.write(",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases))
        file.write("\n]}\n")


if __name__ == "__main__":
    main()
