#!/usr/bin/env python3
"""Encoding with GPT-2's vocabulary beside tiktoken and Hugging Face's tokenizers: rounds in which each encodes the same
text once (A B C D A B C D ...), medians over the rounds.

    benchmarks/text/encode.py --bench build/aurelius-bench-text --vocab DIR --rounds 15 TEXT...

DIR holds encoder.json and vocab.bpe. The texts are put one behind the other. Each pass of aurelius begins with nothing
kept; the libraries keep what they keep (tokenizers has a cache of pieces). All have one thread but the last row.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=pathlib.Path, metavar="TEXT")
    parser.add_argument("--bench", required=True)
    parser.add_argument("--vocab", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip", action="append", default=[], choices=["tiktoken", "tokenizers"])
    parser.add_argument("--json", type=pathlib.Path, help="where to write every measurement")
    return parser.parse_args()


def libraries(folder):
    import tiktoken
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = json.loads((folder / "encoder.json").read_text())
    merges = [tuple(line.split()) for line in (folder / "vocab.bpe").read_text().splitlines()[1:] if line]
    face = Tokenizer(models.BPE(vocabulary, merges))
    face.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in shown]
    of = {**{chr(byte): byte for byte in shown}, **{chr(256 + i): byte for i, byte in enumerate(rest)}}
    ranks = {bytes(of[c] for c in token): rank for token, rank in vocabulary.items() if token != "<|endoftext|>"}
    encoding = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    return {"tiktoken": lambda text: len(encoding.encode_ordinary(text)),
            "tokenizers": lambda text: len(face.encode(text).ids)}


class Aurelius:
    def __init__(self, bench, vocab, path, threads):
        self.process = subprocess.Popen([bench, str(vocab), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.threads = threads

    def measure(self, _):
        self.process.stdin.write(f"{self.threads}\n")
        self.process.stdin.flush()
        seconds, tokens = self.process.stdout.readline().split()
        return float(seconds), int(tokens)


def timed(encode):
    def measure(text):
        begin = time.perf_counter()
        tokens = encode(text)
        return time.perf_counter() - begin, tokens
    return measure


def main():
    options = arguments()
    raw = b"".join(path.read_bytes() for path in options.texts)
    text = raw.decode()
    with tempfile.NamedTemporaryFile(suffix=".txt") as joined:
        joined.write(raw)
        joined.flush()
        rows = {"aurelius": Aurelius(options.bench, options.vocab, joined.name, 1).measure}
        rows |= {name: timed(encode) for name, encode in libraries(options.vocab).items() if name not in options.skip}
        rows[f"aurelius, {options.threads} threads"] = Aurelius(
            options.bench, options.vocab, joined.name, options.threads).measure
        seconds, tokens = {name: [] for name in rows}, set()
        for _ in range(options.rounds):
            for name, measure in rows.items():
                spent, count = measure(text)
                seconds[name].append(spent)
                tokens.add(count)
    if len(tokens) != 1:
        sys.exit(f"the numbers of tokens differ: {tokens}")
    report(options, raw, tokens.pop(), seconds)


def report(options, raw, tokens, seconds):
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{len(raw)} bytes, {tokens} tokens, medians of {options.rounds} rounds")
    print("| | ms | MB/s | million tokens/s | aurelius, of each round |\n|---|---|---|---|---|")
    for name, median in medians.items():
        ratio = statistics.median(other / own for own, other in zip(seconds["aurelius"], seconds[name]))
        print(f"| {name} | {median * 1e3:.2f} | {len(raw) / median / 1e6:.1f} | {tokens / median / 1e6:.1f} | {ratio:.2f} x |")
    if options.json:
        versions = {name: importlib.metadata.version(name) for name in ("tiktoken", "tokenizers")}
        options.json.write_text(json.dumps({
            "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "versions": versions,
            "bytes": len(raw), "tokens": tokens, "texts": [path.name for path in options.texts], "seconds": seconds},
            indent=1) + "\n")


if __name__ == "__main__":
    main()
