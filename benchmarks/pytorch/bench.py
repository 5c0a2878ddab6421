"""What the measuring scripts share: precision, tokens, the machine, and one JSON line on standard output."""

import json
import os
import resource
import statistics
import sys

import torch


def add_machine_options(parser):
    parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: autocast, fp32 weights")


def set_threads(threads):
    if threads > 0:
        torch.set_num_threads(threads)


def autocast(precision, device="cpu"):
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


def synchronise(device):
    """A GPU's work is asynchronous: a time is taken when it is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def describe(arguments):
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu",
        "precision": arguments.precision,
        "preload": os.environ.get("LD_PRELOAD", ""),
    }


def summary(values):
    """Of several measurements of the same thing."""
    return {"median": statistics.median(values), "lowest": min(values), "all": [round(value, 4) for value in values]}


def peak_memory_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6


def tell(result):
    json.dump(result, sys.stdout)
    print()


class Tokens:
    """Batches at random places of a dataset that `aurelius prepare` made, or random tokens of a vocabulary."""

    def __init__(self, dataset, vocab_size, seed=1337):
        self.random = torch.Generator().manual_seed(seed)
        self.vocab_size, self.tokens = vocab_size, None
        if dataset:
            import h5py

            with h5py.File(dataset) as file:
                self.vocab_size = int(file["tokenizer"].attrs["vocab_size"])
                self.tokens = torch.from_numpy(file["train/tokens"][:].astype("int64"))

    def batch(self, sequences, positions):
        if self.tokens is None:
            window = torch.randint(self.vocab_size, (sequences, positions + 1), generator=self.random)
        else:
            starts = torch.randint(len(self.tokens) - positions, (sequences,), generator=self.random)
            window = torch.stack([self.tokens[start : start + positions + 1] for start in starts.tolist()])
        return window[:, :-1].contiguous(), window[:, 1:].contiguous()
