#!/usr/bin/env python3
"""Makes the golden ids of subwords: subwords.tsv and subwords-gpt4.json. Run by hand, from the repository's root, with
tiktoken 0.14.0 and tokenizers 0.23.3:

    python3 tests/golden/make_subwords.py ../shared/data

The folder holds gpt2/encoder.json and gpt2/vocab.bpe, meditations.txt and shakespeare.txt.

GPT-4's vocabulary is not free to be had here, its pattern is: Hugging Face's trainer makes 1,000 tokens from
shakespeare.txt split by that pattern (subwords-gpt4.json). Every string is encoded by both libraries, which have to
agree; bytes that are not UTF-8 are taken by tiktoken alone.

A line of subwords.tsv: the bytes in hexadecimal, ids with GPT-2's vocabulary, ids with the other. Lines that begin with
"#" hold, for a whole text: name, vocabulary, number of ids, FNV-1a (64 bits) of the ids as 4 bytes each, little-endian.
"""
import json
import pathlib
import random
import sys

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
GPT4 = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"""
        r"""|\s*[\r\n]+|\s+(?!\S)|\s+""")
HERE = pathlib.Path(__file__).parent
STRINGS = 1000


def bytes_by_character():
    """The characters that stand for bytes in vocabularies of byte-level BPE."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in shown]
    return {**{chr(byte): byte for byte in shown}, **{chr(256 + i): byte for i, byte in enumerate(rest)}}


BYTES = bytes_by_character()


def as_tiktoken(name, pattern, vocabulary):
    ranks = {bytes(BYTES[c] for c in token): rank for token, rank in vocabulary.items() if token != "<|endoftext|>"}
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": len(ranks)})


def gpt2(data):
    vocabulary = json.loads((data / "gpt2/encoder.json").read_text())
    merges = [tuple(line.split()) for line in (data / "gpt2/vocab.bpe").read_text().splitlines()[1:] if line]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer, as_tiktoken("gpt2", GPT2, vocabulary)


def gpt4(data):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GPT4), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(BYTES)
    trainer = trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train([str(data / "shakespeare.txt")], trainer)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    vocabulary = tokenizer.get_vocab()
    tokenizer.save(str(HERE / "subwords-gpt4.json"))
    return tokenizer, as_tiktoken("gpt4", GPT4, vocabulary)


# What a pattern tells apart, and what is near it. Code points older than Unicode 10: newer ones are letters to one
# library and unassigned to another.
PIECES = [
    *"abcxyzABCXYZsStTmMdD'\"’.,;:!?-_/\\()[]{}<>@#$%^&*+=|~`", "'s", "'S", "'ll", "'LL", "'Ve", "'re", "'RE", "don't",
    "I'm", "we'd", "'ſ", "\u212a", "hello", "World", "antidisestablishmentarianism", "http://example.org/a?b=c",
    "0", "1", "23", "456", "7890", "12345678901", "٣", "٤٥٦", "४२", "²", "½", "Ⅷ", "①", "৩", "𝟘𝟙",
    " ", " ", "  ", "   ", "        ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\xa0",
    "\u1680", "\u2000", "\u2003", "\u2009", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
    "\u180e", "\ufeff", "\u200c", "\u200d", "\u200e", "\u200f", "\u2060", "\xad", "\0", "\x01", "\x1b", "\x7f",
    "é", "e\u0301", "ñ", "n\u0303", "Å", "A\u030a", "q\u0307\u0323", "ß", "ﬁ", "ŉ", "İ", "ı", "Ǆ", "naïve", "Straße",
    "😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "❤️", "☃", "♞", "→", "∑", "√", "€", "™",
    "שלום", "עִבְרִית", "مرحبا", "العَرَبِيَّة", "فارسی‌ها", "\u202babc\u202c",
    "中文", "漢字仮名", "ひらがな", "カタカナ", "ﾊﾝｶｸ", "한국어", "\u1112\u1161\u11ab", "，", "。", "「」", "𠮷",
    "สวัสดี", "ภาษาไทย", "ຂອບໃຈ", "မြန်မာ", "नमस्ते", "क्षि", "தமிழ்", "ഴ", "ქართული", "Ελληνικά", "Ωμέγα", "Русский",
    "Український", "Հայերեն", "አማርኛ", "ᚠᚢᚦ", "𐍈", "𝒜𝓑", "Ⓐ", "ªº", "ʼ", "ˈ", "\U0010ffff", "\ufffd", "\ue000",
    "<|endoftext|>",
]

FIXED = [
    b"", b" ", b"\n", b"  ", b"a" * 600, b" " * 300, b"\n" * 100, b"ab" * 250, ("é" * 200).encode(), ("漢" * 150).encode(),
    b"!" * 200, b"1" * 100, b"=" * 64 + b"\n" * 3 + b"x", b" " * 50 + b"\n" * 5 + b" " * 5 + b"x", ("\u3000" * 40 + "x").encode(),
    "\u0301".encode() * 20, b"\0" * 20, b"supercalifragilisticexpialidocious" * 8, b"\t" * 40 + b"return x;",
]


def lone_bytes():
    """Texts that end in bytes that are no UTF-8, and such bytes alone."""
    strings = [bytes([byte]) for byte in range(0x80, 0x100)]
    for text in ("word", "two words", "12", "x!", "é", "漢", "don't"):
        for tail in (b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80\x80", b"\xed\xa0\x80"):
            strings.append(text.encode() + tail)
    return strings


def hard_strings():
    rng = random.Random(2026)
    strings = FIXED + lone_bytes()
    while len(strings) < STRINGS:
        strings.append("".join(rng.choice(PIECES) for _ in range(rng.randint(1, 9))).encode())
    return strings


def encode(tokenizer, encoding, text):
    try:
        ids = tokenizer.encode(text.decode(), add_special_tokens=False).ids
    except UnicodeDecodeError:
        return encoding._encode_bytes(text)
    if ids != encoding.encode_ordinary(text.decode()):
        raise SystemExit(f"the libraries disagree on {text!r}")
    return ids


def fnv(ids):
    value = 0xCBF29CE484222325
    for byte in b"".join(number.to_bytes(4, "little") for number in ids):
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    data = pathlib.Path(sys.argv[1])
    both = {"gpt2": gpt2(data), "gpt4": gpt4(data)}
    for tokenizer, _ in both.values():
        tokenizer.encode_special_tokens = True
    lines = []
    for text in hard_strings():
        ids = [" ".join(map(str, encode(*both[name], text))) for name in both]
        lines.append("\t".join([text.hex(), *ids]))
    for file in ("meditations.txt", "shakespeare.txt"):
        text = (data / file).read_bytes()
        for name in both:
            ids = encode(*both[name], text)
            lines.append(f"#\t{file}\t{name}\t{len(ids)}\t{fnv(ids):016x}")
    (HERE / "subwords.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
