"""The same GPT in PyTorch 2, the way people write it: one packed linear for Q, K and V, scaled_dot_product_attention,
modules of torch.nn. It reads the `model` section of Aurelius' configurations, and its tensors have the names and
shapes of Aurelius' checkpoints, so weights go over by name (verify.py)."""

import dataclasses
import math

import torch
import torch.nn.functional as F
import yaml
from torch import nn


@dataclasses.dataclass
class Config:
    vocab_size: int
    n_layer: int = 6
    n_head: int = 6
    n_embd: int = 384
    block_size: int = 256
    mlp_ratio: float = 4
    activation: str = "gelu_tanh"
    norm_position: str = "pre"
    bias: bool = True
    qkv_bias: bool = True
    head_bias: bool = False
    tie_embeddings: bool = True
    attention_scale: str = "head"
    dropout: float = 0.0
    embedding_dropout: float = 0.0


def config_from(sections, vocab_size, **changes):
    """From the sections of a configuration; `changes` are keys of `model` that win over it."""
    known = {field.name for field in dataclasses.fields(Config)}
    model = {key: value for key, value in sections["model"].items() if key in known}
    return Config(**{"vocab_size": vocab_size, **model, **changes})


def read_yaml(path):
    with open(path, encoding="utf-8") as file:
        return floats(yaml.safe_load(file))


def floats(value):
    """YAML 1.1 reads 1e-3 as a text; here it is a number."""
    if isinstance(value, dict):
        return {key: floats(item) for key, item in value.items()}
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head, self.dropout = config.n_head, config.dropout
        width = config.n_embd // config.n_head if config.attention_scale == "head" else config.n_embd
        self.scale = 1 / math.sqrt(width)
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.qkv_bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            part.view(b, t, self.n_head, c // self.n_head).transpose(1, 2) for part in self.c_attn(x).split(c, dim=2)
        )
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=self.scale)
        return self.c_proj(y.transpose(1, 2).reshape(b, t, c))


class MLP(nn.Module):
    activations = {"relu": nn.ReLU, "gelu": nn.GELU, "gelu_tanh": lambda: nn.GELU(approximate="tanh")}

    def __init__(self, config):
        super().__init__()
        width = int(config.mlp_ratio * config.n_embd)
        self.c_fc = nn.Linear(config.n_embd, width, bias=config.bias)
        self.activation = self.activations[config.activation]()
        self.c_proj = nn.Linear(width, config.n_embd, bias=config.bias)

    def forward(self, x):
        return self.c_proj(self.activation(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.post_norm = config.norm_position == "post"
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        if self.post_norm:
            x = self.ln_1(x + self.dropout(self.attn(x)))
            return self.ln_2(x + self.dropout(self.mlp(x)))
        x = x + self.dropout(self.attn(self.ln_1(x)))
        return x + self.dropout(self.mlp(self.ln_2(x)))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias) if config.norm_position == "pre" else nn.Identity()
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=config.head_bias)
        if config.tie_embeddings:
            self.lm_head.weight = self.wte.weight
        self.apply(self.begin)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * config.n_layer))

    @staticmethod
    def begin(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def logits(self, tokens):
        x = self.dropout(self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device)))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))

    def forward(self, tokens, targets):
        """The mean loss."""
        logits = self.logits(tokens)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))

    def load_arrays(self, arrays):
        """Weights by name; the names must be exactly those this model has."""
        own = dict(self.named_parameters())
        if set(own) != set(arrays):
            raise SystemExit(f"the weights differ in their names: {sorted(set(own) ^ set(arrays))}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(torch.as_tensor(arrays[name]))


def parameters_of(model):
    """How many numbers are trained; a tied head counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def adamw(model, train, fused):
    """AdamW with decay on matrices and embeddings, or on all tensors."""
    decayed = [p for p in model.parameters() if p.dim() >= 2 or train.get("decay", "matrices") == "all"]
    others = [p for p in model.parameters() if not (p.dim() >= 2 or train.get("decay", "matrices") == "all")]
    groups = [
        {"params": decayed, "weight_decay": train.get("weight_decay", 0.1)},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=train.get("learning_rate", 3e-4),
        betas=(train.get("beta1", 0.9), train.get("beta2", 0.95)),
        eps=train.get("epsilon", 1e-8),
        fused=fused,
    )
