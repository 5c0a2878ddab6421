#!/usr/bin/env python3
"""Checks that the model timed here is the model Aurelius trains. Exit code 1 when it is not.

    verify.py --golden ../../tests/golden
        losses, gradients and 20 steps of AdamW, known in float64
    verify.py --checkpoint RUN/checkpoints/step-N.h5 --data DATASET.h5 --loss LOSS
        the loss that `aurelius eval --json` prints for this pair

Both may be given. The checkpoint's loss is taken over all windows of the dataset's validation part, and its number of
parameters is compared too.
"""

import argparse
import os
import sys

import h5py
import numpy as np
import torch
import yaml

import gpt

TOLERANCE = 1e-4  # of a loss of a few nats: fp32 sums of some hundred terms in another order differ by less
failed = False


def check(what, seen, asked, tolerance=TOLERANCE):
    global failed
    good = abs(seen - asked) <= tolerance
    failed = failed or not good
    print(f"{'same' if good else 'DIFFERENT'}: {what}: PyTorch {seen:.7g}, Aurelius {asked:.7g}")


def weights_of(group):
    """Tensors by name."""
    arrays = {}
    group.visititems(lambda name, item: arrays.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return {name.replace("/", "."): array for name, array in arrays.items()}


def golden_config(attributes):
    width = attributes["n_embd"] / attributes["n_head"]
    return gpt.Config(
        vocab_size=int(attributes["vocab_size"]),
        n_layer=int(attributes["n_layer"]),
        n_head=int(attributes["n_head"]),
        n_embd=int(attributes["n_embd"]),
        block_size=int(attributes["block_size"]),
        mlp_ratio=attributes["mlp_width"] / attributes["n_embd"],
        activation=["relu", "gelu", "gelu_tanh"][int(attributes["activation"])],
        norm_position="post" if attributes["post_norm"] else "pre",
        bias=bool(attributes["bias"]),
        qkv_bias=bool(attributes["qkv_bias"]),
        head_bias=bool(attributes["head_bias"]),
        tie_embeddings=bool(attributes["tie_embeddings"]),
        attention_scale="head" if abs(attributes["attention_scale"] - width**-0.5) < 1e-9 else "n_embd",
    )


def golden_model(file):
    model = gpt.GPT(golden_config(file.attrs))
    model.load_arrays(weights_of(file["weights"]))
    return model


def check_gradients(name, file, tokens, targets):
    model = golden_model(file)
    loss = model(tokens[0], targets[0])
    loss.backward()
    check(f"{name}: loss", loss.item(), file["loss"][:].sum() / tokens[0].numel())
    asked = weights_of(file["gradients"])
    worst = max(np.abs(p.grad.numpy() - asked[key]).max() for key, p in model.named_parameters())
    check(f"{name}: largest difference of a gradient", worst, 0.0)


def check_adamw(name, file, tokens, targets, decay):
    model, attributes = golden_model(file), file.attrs
    train = {key: float(attributes[key]) for key in ("beta1", "beta2", "epsilon", "weight_decay")}
    optimizer = gpt.adamw(model, {**train, "decay": decay}, fused=True)
    asked, seen = file[f"adamw/{decay}/loss"][:], []
    for step, rate in enumerate(file["learning_rate"][:]):
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.zero_grad()
        loss = model(tokens[step % len(tokens)], targets[step % len(tokens)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), float(attributes["max_norm"]))
        optimizer.step()
        seen.append(loss.item())
    check(f"{name}: loss of step {len(seen)}, decay of {decay}", seen[-1], asked[-1])
    check(f"{name}: largest difference of a step's loss", float(np.abs(seen - asked).max()), 0.0)


def check_golden(folder):
    for name in ("gpt2_style", "original_style"):
        with h5py.File(os.path.join(folder, name + ".h5")) as file:
            tokens, targets = (torch.from_numpy(file[key][:].astype("int64")) for key in ("tokens", "targets"))
            check_gradients(name, file, tokens, targets)
            for decay in ("matrices", "all"):
                check_adamw(name, file, tokens, targets, decay)


def validation_loss(model, tokens, positions):
    """Over all windows that do not overlap; a window's last target is the next one's first token."""
    windows = (len(tokens) - 1) // positions
    inputs, targets = tokens[:-1], tokens[1:]
    total = 0.0
    with torch.no_grad():
        for first in range(0, windows, 64):
            last = min(first + 64, windows)
            part = slice(first * positions, last * positions)
            loss = model(inputs[part].view(-1, positions), targets[part].view(-1, positions))
            total += loss.item() * (last - first)
    return total / windows


def check_checkpoint(path, dataset, loss):
    with h5py.File(path) as file, h5py.File(dataset) as data:
        text = file["meta/config"][()]
        text = text[0] if isinstance(text, np.ndarray) else text
        sections = gpt.floats(yaml.safe_load(text.decode("utf-8").rstrip("\0")))
        arrays = weights_of(file["params"])
        model = gpt.GPT(gpt.config_from(sections, int(data["tokenizer"].attrs["vocab_size"])))
        model.load_arrays(arrays)
        tokens = torch.from_numpy(data["val/tokens"][:].astype("int64"))
    check("number of parameters", gpt.parameters_of(model), sum(array.size for array in arrays.values()), 0)
    check("validation loss of the checkpoint", validation_loss(model, tokens, model.config.block_size), loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden")
    parser.add_argument("--checkpoint")
    parser.add_argument("--data")
    parser.add_argument("--loss", type=float)
    arguments = parser.parse_args()
    if arguments.golden:
        check_golden(arguments.golden)
    if arguments.checkpoint:
        check_checkpoint(arguments.checkpoint, arguments.data, arguments.loss)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
