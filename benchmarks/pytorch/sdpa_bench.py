#!/usr/bin/env python3
"""Times causal scaled_dot_product_attention, forward and backward, and prints one JSON object.

    sdpa_bench.py --batch 1 --heads 12 --positions 1024 --head-size 64 --threads 2 --precision bf16

--packed cuts Q, K and V from one [B, T, 3C] tensor and gives back [B, T, C] and the gradient of that tensor, as a GPT
does and as Aurelius' operation does; without it the three are contiguous [B, H, T, D]. --compile gives it to
torch.compile.
"""

import argparse
import statistics
import sys
import time

import torch
import torch.nn.functional as F

import bench


def arguments_of(line):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--positions", type=int, default=1024)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    bench.add_machine_options(parser)
    return parser.parse_args(line)


def packed_attention(qkv, heads):
    b, t, width = qkv.shape
    c = width // 3
    q, k, v = (part.view(b, t, heads, c // heads).transpose(1, 2) for part in qkv.split(c, dim=2))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)


def plain_attention(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def prepare(arguments, dtype):
    """The function, its inputs and the gradient of its output."""
    b, h, t, d = arguments.batch, arguments.heads, arguments.positions, arguments.head_size
    if arguments.packed:
        inputs = [torch.randn(b, t, 3 * h * d, dtype=dtype, requires_grad=True)]
        call = lambda qkv: packed_attention(qkv, h)
        return call, inputs, torch.randn(b, t, h * d, dtype=dtype) * 1e-3
    inputs = [torch.randn(b, h, t, d, dtype=dtype, requires_grad=True) for _ in range(3)]
    return plain_attention, inputs, torch.randn(b, h, t, d, dtype=dtype) * 1e-3


def run(arguments):
    bench.set_threads(arguments.threads)
    torch.manual_seed(1337)
    call, inputs, gradient = prepare(arguments, torch.bfloat16 if arguments.precision == "bf16" else torch.float32)
    attention = torch.compile(call, dynamic=False) if arguments.compile else call
    forward, backward = [], []
    for _ in range(3):
        torch.autograd.grad(attention(*inputs), inputs, gradient)
    end = time.perf_counter() + arguments.seconds
    while time.perf_counter() < end or len(forward) < 5:
        times = [time.perf_counter()]
        out = attention(*inputs)
        times.append(time.perf_counter())
        torch.autograd.grad(out, inputs, gradient)
        times.append(time.perf_counter())
        forward.append((times[1] - times[0]) * 1e3)
        backward.append((times[2] - times[1]) * 1e3)
    both = [a + b for a, b in zip(forward, backward)]
    bench.tell(
        {
            **bench.describe(arguments),
            "packed": arguments.packed,
            "compiled": arguments.compile,
            "batch": arguments.batch,
            "heads": arguments.heads,
            "positions": arguments.positions,
            "head_size": arguments.head_size,
            "calls": len(both),
            "ms_forward": statistics.median(forward),
            "ms_backward": statistics.median(backward),
            "ms_both": statistics.median(both),
            "ms_both_lowest": min(both),
        }
    )


if __name__ == "__main__":
    run(arguments_of(sys.argv[1:]))
