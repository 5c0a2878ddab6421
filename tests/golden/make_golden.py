#!/usr/bin/python3
"""Makes the golden files: tiny models whose losses, gradients and AdamW steps are known in float64.

    tests/golden/make_golden.py [FOLDER]        needs PyTorch, NumPy and h5py (Debian: python3-torch python3-h5py)

Writes gpt2_style.h5, original_style.h5 and bigram.h5 into FOLDER (default: beside this script). Weights and learning
rates are representable in fp32, so that a program in fp32 starts from the same numbers. Two runs give the same file.

/            attributes: the model's configuration, AdamW's constants
/weights/X   fp32, by the names and shapes of the parameter table ([out, in])
/tokens, /targets       int32 [batches, B, T]
/loss                   float64 [B]: of each sequence of batch 0, summed over its positions
/gradients/X            float64: of the mean loss of batch 0
/adamw/matrices, /adamw/all     decay on matrices or on all tensors: loss [20] (mean), norm [20] (before clipping)
/learning_rate          float64 [20]
Step i of AdamW uses batch i % batches.
"""
import math
import os
import sys

import h5py
import numpy as np
import torch

STEPS, BATCHES, B, T, V = 20, 4, 3, 10, 23
ADAMW = {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": 0.1, "max_norm": 2.0}
GPT2 = {"post_norm": 0, "activation": "gelu_tanh", "tie_embeddings": 1, "head_bias": 0, "qkv_bias": 1, "scale": "head"}
ORIGINAL = {"post_norm": 1, "activation": "relu", "tie_embeddings": 0, "head_bias": 1, "qkv_bias": 0, "scale": "embd"}
SIZES = {"n_layer": 2, "n_head": 4, "n_embd": 16, "mlp_width": 64}


def fp32(x):
    """The nearest number that fp32 holds, as float64."""
    return float(np.float32(x))


def gpt_shapes(style):
    c, f = SIZES["n_embd"], SIZES["mlp_width"]
    shapes = {"wte.weight": (V, c), "wpe.weight": (T, c)}
    for i in range(SIZES["n_layer"]):
        block = {
            "ln_1.weight": (c,), "ln_1.bias": (c,),
            "attn.c_attn.weight": (3 * c, c), "attn.c_proj.weight": (c, c), "attn.c_proj.bias": (c,),
            "ln_2.weight": (c,), "ln_2.bias": (c,),
            "mlp.c_fc.weight": (f, c), "mlp.c_fc.bias": (f,), "mlp.c_proj.weight": (c, f), "mlp.c_proj.bias": (c,),
        }
        if style["qkv_bias"]:
            block["attn.c_attn.bias"] = (3 * c,)
        shapes.update({f"h.{i}.{name}": shape for name, shape in block.items()})
    if not style["post_norm"]:
        shapes.update({"ln_f.weight": (c,), "ln_f.bias": (c,)})
    if not style["tie_embeddings"]:
        shapes["lm_head.weight"] = (V, c)
    if style["head_bias"]:
        shapes["lm_head.bias"] = (V,)
    return shapes


def draw_weights(shapes, random):
    """Large enough that softmax, activations and norms are far from their linear range."""
    weights = {}
    for name in sorted(shapes):
        value = 0.3 * random.standard_normal(shapes[name])
        if ".ln_" in name or name.startswith("ln_f"):
            value = value / 2 + (1 if name.endswith("weight") else 0)
        weights[name] = torch.tensor(value.astype(np.float32).astype(np.float64), requires_grad=True)
    return weights


def norm(x, w, name):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * w[name + ".weight"] + w[name + ".bias"]


def linear(x, w, name):
    y = x @ w[name + ".weight"].T
    return y + w[name + ".bias"] if name + ".bias" in w else y


def attention(x, w, block, style):
    heads = SIZES["n_head"]
    size = SIZES["n_embd"] // heads
    batch, length, width = x.shape
    q, k, v = linear(x, w, block + ".attn.c_attn").split(width, dim=-1)
    q, k, v = (t.reshape(batch, length, heads, size).transpose(1, 2) for t in (q, k, v))
    scores = q @ k.transpose(-1, -2) * fp32(1 / math.sqrt(size if style["scale"] == "head" else width))
    future = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1)
    mixed = torch.softmax(scores.masked_fill(future, -math.inf), dim=-1) @ v
    return linear(mixed.transpose(1, 2).reshape(batch, length, width), w, block + ".attn.c_proj")


def mlp(x, w, block, style):
    h = linear(x, w, block + ".mlp.c_fc")
    if style["activation"] == "relu":
        h = torch.relu(h)
    else:
        h = h / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
    return linear(h, w, block + ".mlp.c_proj")


def gpt_logits(w, tokens, style):
    x = w["wte.weight"][tokens] + w["wpe.weight"][: tokens.shape[1]]
    for i in range(SIZES["n_layer"]):
        block = f"h.{i}"
        if style["post_norm"]:
            x = norm(x + attention(x, w, block, style), w, block + ".ln_1")
            x = norm(x + mlp(x, w, block, style), w, block + ".ln_2")
        else:
            x = x + attention(norm(x, w, block + ".ln_1"), w, block, style)
            x = x + mlp(norm(x, w, block + ".ln_2"), w, block, style)
    if not style["post_norm"]:
        x = norm(x, w, "ln_f")
    logits = x @ (w["wte.weight"] if style["tie_embeddings"] else w["lm_head.weight"]).T
    return logits + w["lm_head.bias"] if style["head_bias"] else logits


def sequence_losses(logits, targets):
    chosen = torch.gather(logits, -1, targets.unsqueeze(-1)).squeeze(-1)
    return (torch.logsumexp(logits, dim=-1) - chosen).sum(-1)


def adamw_run(start, logits_of, tokens, targets, rates, decay_all):
    """20 steps written out: clipping by the global norm, decoupled decay, both corrections."""
    w = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    m = {name: torch.zeros_like(value) for name, value in w.items()}
    v = {name: torch.zeros_like(value) for name, value in w.items()}
    beta1, beta2, epsilon = fp32(ADAMW["beta1"]), fp32(ADAMW["beta2"]), fp32(ADAMW["epsilon"])
    losses, norms = [], []
    for step in range(STEPS):
        i = step % BATCHES
        loss = sequence_losses(logits_of(w, tokens[i]), targets[i]).sum() / (B * T)
        gradients = dict(zip(w, torch.autograd.grad(loss, list(w.values()))))
        total = math.sqrt(sum(float((g**2).sum()) for g in gradients.values()))
        scale = min(1.0, fp32(ADAMW["max_norm"]) / total)
        losses.append(float(loss))
        norms.append(total)
        with torch.no_grad():
            for name, value in w.items():
                g = gradients[name] * scale
                decay = fp32(ADAMW["weight_decay"]) if decay_all or value.dim() == 2 else 0.0
                m[name] = beta1 * m[name] + (1 - beta1) * g
                v[name] = beta2 * v[name] + (1 - beta2) * g**2
                mean = m[name] / (1 - beta1 ** (step + 1))
                square = v[name] / (1 - beta2 ** (step + 1))
                value -= rates[step] * (mean / (torch.sqrt(square) + epsilon) + decay * value)
    return losses, norms


def write(path, attributes, weights, logits_of, random):
    tokens = torch.tensor(random.randint(0, V, (BATCHES, B, T)))
    targets = torch.tensor(random.randint(0, V, (BATCHES, B, T)))
    rates = [fp32(0.01 / (1 + 0.1 * step)) for step in range(STEPS)]
    losses = sequence_losses(logits_of(weights, tokens[0]), targets[0])
    gradients = dict(zip(weights, torch.autograd.grad(losses.sum() / (B * T), list(weights.values()))))
    with h5py.File(path, "w") as file:

        def put(name, array):
            file.create_dataset(name, data=array, track_times=False)

        for name, value in {**attributes, **ADAMW, "vocab_size": V, "block_size": T}.items():
            file.attrs[name] = np.int64(value) if isinstance(value, int) else np.float64(value)
        put("tokens", tokens.numpy().astype(np.int32))
        put("targets", targets.numpy().astype(np.int32))
        put("loss", losses.detach().numpy())
        put("learning_rate", np.array(rates))
        for name, value in weights.items():
            put("weights/" + name, value.detach().numpy().astype(np.float32))
            put("gradients/" + name, gradients[name].numpy())
        for decay in ("matrices", "all"):
            losses, norms = adamw_run(weights, logits_of, tokens, targets, rates, decay == "all")
            put(f"adamw/{decay}/loss", np.array(losses))
            put(f"adamw/{decay}/norm", np.array(norms))
    print(f"{path}: loss {losses[0]:.6f} to {losses[-1]:.6f}, norm {norms[0]:.4f} to {norms[-1]:.4f}")


def write_gpt(path, style, seed):
    random = np.random.RandomState(seed)
    width = SIZES["n_embd"] // SIZES["n_head"] if style["scale"] == "head" else SIZES["n_embd"]
    attributes = {
        "gpt": 1, **SIZES, "post_norm": style["post_norm"], "activation": {"relu": 0, "gelu_tanh": 2}[style["activation"]],
        "bias": 1, "qkv_bias": style["qkv_bias"], "head_bias": style["head_bias"],
        "tie_embeddings": style["tie_embeddings"], "attention_scale": 1 / math.sqrt(width),
    }
    weights = draw_weights(gpt_shapes(style), random)
    write(path, attributes, weights, lambda w, tokens: gpt_logits(w, tokens, style), random)


def write_bigram(path, seed):
    random = np.random.RandomState(seed)
    weights = draw_weights({"table": (V, V)}, random)
    write(path, {"gpt": 0}, weights, lambda w, tokens: w["table"][tokens], random)


def main():
    torch.set_num_threads(1)
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    write_gpt(os.path.join(folder, "gpt2_style.h5"), GPT2, 1)
    write_gpt(os.path.join(folder, "original_style.h5"), ORIGINAL, 2)
    write_bigram(os.path.join(folder, "bigram.h5"), 3)


if __name__ == "__main__":
    main()
