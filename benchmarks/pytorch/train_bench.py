#!/usr/bin/env python3
"""Times training steps of the model that a configuration of Aurelius describes, in PyTorch, and prints one JSON object.

    train_bench.py --config ../../configs/shakespeare-char-cpu.yaml --vocab-size 65 --mode compile --steps 200

A step is what Aurelius calls one: take a batch, zero the gradients, forward and backward over the micro-batches, clip,
AdamW. ms_step is the median over the steps after the first --warmup; the first step, with compilation, is told apart.
"""

import argparse
import statistics
import sys
import time

START = time.perf_counter()

import torch

import bench
import gpt


def arguments_of(line):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--data", help="a dataset made by aurelius prepare; without it, random tokens")
    parser.add_argument("--vocab-size", type=int, default=50257, help="of random tokens")
    parser.add_argument("--mode", choices=["eager", "compile"], default="eager")
    parser.add_argument(
        "--compile-mode", default="default", help="of torch.compile: default, max-autotune, reduce-overhead"
    )
    parser.add_argument(
        "--cpp-wrapper", action="store_true", help="compiled graphs are called from C++ instead of Python"
    )
    parser.add_argument("--compile-optimizer", action="store_true", help="clipping and AdamW are compiled too")
    parser.add_argument("--block-size", type=int, help="instead of the configuration's")
    parser.add_argument("--batch-size", type=int, help="instead of the configuration's")
    parser.add_argument("--micro-batch-size", type=int, help="sequences computed at once (default: the whole batch)")
    parser.add_argument("--no-fused", action="store_true", help="AdamW tensor by tensor instead of fused")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=2, help="first steps that do not count")
    bench.add_machine_options(parser)
    return parser.parse_args(line)


class Trainer:
    def __init__(self, arguments, sections):
        train = sections["train"]
        changes = {"block_size": arguments.block_size} if arguments.block_size else {}
        self.precision, self.device = arguments.precision, arguments.device
        self.batch = arguments.batch_size or int(train["batch_size"])
        self.micro = arguments.micro_batch_size or self.batch
        if self.batch % self.micro:
            raise SystemExit(f"--micro-batch-size {self.micro} does not divide the batch of {self.batch}")
        self.clip = train.get("grad_clip", 1.0)
        self.tokens = bench.Tokens(arguments.data, arguments.vocab_size)
        torch.manual_seed(1337)
        self.model = gpt.GPT(gpt.config_from(sections, self.tokens.vocab_size, **changes)).to(self.device)
        self.positions = self.model.config.block_size
        self.optimizer = gpt.adamw(self.model, train, fused=not arguments.no_fused)
        self.loss_of, self.update = self.model, self.clip_and_update
        if arguments.mode == "compile":
            self.compile(arguments)

    def compile(self, arguments):
        if arguments.cpp_wrapper:
            torch._inductor.config.cpp_wrapper = True
        self.loss_of = torch.compile(self.model, mode=arguments.compile_mode, dynamic=False)
        if arguments.compile_optimizer:
            self.update = torch.compile(self.clip_and_update, mode=arguments.compile_mode)

    def clip_and_update(self):
        if self.clip > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()

    def step(self):
        tokens, targets = (side.to(self.device) for side in self.tokens.batch(self.batch, self.positions))
        self.optimizer.zero_grad(set_to_none=True)
        total, parts = 0.0, self.batch // self.micro
        for i in range(0, self.batch, self.micro):
            with bench.autocast(self.precision, self.device):
                loss = self.loss_of(tokens[i : i + self.micro], targets[i : i + self.micro]) / parts
            loss.backward()
            total += loss.detach()
        self.update()
        return float(total)


def run(arguments):
    bench.set_threads(arguments.threads)
    trainer = Trainer(arguments, gpt.read_yaml(arguments.config))
    times, losses = [], []
    first_end = None
    for _ in range(arguments.steps):
        begin = time.perf_counter()
        losses.append(trainer.step())
        bench.synchronise(arguments.device)
        end = time.perf_counter()
        times.append((end - begin) * 1e3)
        first_end = first_end or end
    counted = times[arguments.warmup :] or times
    median = statistics.median(counted)
    bench.tell(
        {
            **bench.describe(arguments),
            "mode": arguments.mode,
            "compile_mode": arguments.compile_mode if arguments.mode == "compile" else None,
            "parameters": gpt.parameters_of(trainer.model),
            "batch": trainer.batch,
            "micro_batch": trainer.micro,
            "positions": trainer.positions,
            "ms_step": median,
            "ms_step_lowest": min(counted),
            "tokens_per_s": trainer.batch * trainer.positions / median * 1e3,
            "first_step_s": times[0] * 1e-3,
            "start_to_first_step_s": first_end - START,
            "first_loss": losses[0],
            "last_loss": losses[-1],
            "peak_memory_mb": bench.peak_memory_mb(),
            "ms_steps": [round(value, 3) for value in times],
        }
    )


if __name__ == "__main__":
    run(arguments_of(sys.argv[1:]))
