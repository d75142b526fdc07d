"""The other side: PyTorch, eager or compiled, with its fused AdamW, on the same tokens and shape.

It imports neither JAX nor fxformer: the interpreter of the peers may lack both.
"""

import time
from collections.abc import Callable
from typing import ClassVar

import torch
import transformers

from benchmarks.nanogpt import GPT2
from benchmarks.work import Shape, arrays, labels

COMPILED = "_compiled"
Loss = Callable[[], torch.Tensor]


def hf_bert(shape: Shape, batch: dict) -> tuple[torch.nn.Module, Loss]:
    """BERT for masked LM: logits at every position, as Hugging Face computes them."""
    cfg = transformers.BertConfig(
        vocab_size=shape.vocab, hidden_size=shape.dim, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, intermediate_size=shape.hidden,
        max_position_embeddings=shape.length, hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
    )  # fmt: skip
    model = transformers.BertForMaskedLM(cfg)
    tokens, answers = _long(batch["tokens"]), _long(labels(batch))
    return model, lambda: model(input_ids=tokens, labels=answers).loss


def hf_gpt2(shape: Shape, batch: dict) -> tuple[torch.nn.Module, Loss]:
    """GPT-2; its loss is called on shifted labels, so every position counts as in ours."""
    cfg = transformers.GPT2Config(
        vocab_size=shape.vocab, n_positions=shape.length, n_embd=shape.dim, n_layer=shape.layers,
        n_head=shape.heads, n_inner=shape.hidden, resid_pdrop=shape.dropout,
        embd_pdrop=shape.dropout, attn_pdrop=shape.dropout, use_cache=False, bos_token_id=2,
        eos_token_id=3,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(cfg)
    tokens, answers = _long(batch["tokens"]), _long(batch["targets"])

    def loss():
        logits = model(input_ids=tokens).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), answers.flatten())

    return model, loss


def nanogpt(shape: Shape, batch: dict) -> tuple[torch.nn.Module, Loss]:
    """The compact one."""
    model = GPT2(
        vocab=shape.vocab, length=shape.length, dim=shape.dim, layers=shape.layers,
        heads=shape.heads, hidden=shape.hidden, dropout=shape.dropout,
    )  # fmt: skip
    tokens, answers = _long(batch["tokens"]), _long(batch["targets"])
    return model, lambda: model(tokens, answers)


def hf_bart(shape: Shape, batch: dict) -> tuple[torch.nn.Module, Loss]:
    """BART, both stacks as deep."""
    cfg = transformers.BartConfig(
        vocab_size=shape.vocab, d_model=shape.dim, max_position_embeddings=shape.length,
        encoder_layers=shape.layers, decoder_layers=shape.layers, encoder_ffn_dim=shape.hidden,
        decoder_ffn_dim=shape.hidden, encoder_attention_heads=shape.heads, dropout=shape.dropout,
        attention_dropout=shape.dropout, decoder_attention_heads=shape.heads, use_cache=False,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=3,
        forced_eos_token_id=None,
    )  # fmt: skip
    model = transformers.BartForConditionalGeneration(cfg)
    given = {"input_ids": _long(batch["source"]), "decoder_input_ids": _long(batch["tokens"])}
    answers = _long(batch["targets"])
    return model, lambda: model(**given, labels=answers).loss


MAKERS = {maker.__name__: maker for maker in (hf_bert, hf_gpt2, nanogpt, hf_bart)}


class Side:
    """A PyTorch model and its optimizer. `run(count)` makes steps and returns their seconds.

    name: of a maker; with "_compiled" after it, the model goes through torch.compile
    """

    compile_seconds = 0.0
    versions: ClassVar = {"torch": torch.__version__, "transformers": transformers.__version__}

    def __init__(self, name: str, family: str, shape: Shape, threads: int = 2):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        maker = MAKERS[name.removesuffix(COMPILED)]
        self.model, self.forward = maker(shape.of(family), arrays(family, shape))
        self.model.train()
        if name.endswith(COMPILED):
            self.model.compile()
        self.parameters = sum(p.numel() for p in self.model.parameters())
        groups = [
            {"params": [p for p in self.model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
            {"params": [p for p in self.model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=True)
        self.loss = float("nan")

    def run(self, count: int) -> list[float]:
        """Seconds of each of `count` steps."""
        return [self.once() for _ in range(count)]

    def once(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.loss = loss.item()
        return time.perf_counter() - began


def _long(array) -> torch.Tensor:
    return torch.as_tensor(array).long()
