"""Hugging Face's models for `python -m benchmarks gpu`: bfloat16, fused attention, torch.compile.

It imports neither JAX nor fxformer: the interpreter of the peers may lack both.
"""

import contextlib
import resource
import time

import torch
import transformers

from benchmarks.gpu_models import GPUModel
from benchmarks.work import arrays, labels

CONFIGS = {
    "gpt2_124m": "gpt2", "gpt2_350m": "gpt2", "bert_base": "bert", "bart_base": "bart",
    "t5_base": "t5", "modernbert_base": "modernbert",
}  # fmt: skip


def config_of(kind: str, m: GPUModel) -> transformers.PretrainedConfig:
    """The config of a family in the sizes of a model, without dropout."""
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    if kind == "gpt2":
        return transformers.GPT2Config(
            vocab_size=m.vocab, n_positions=m.length, n_embd=m.dim, n_layer=m.layers,
            n_head=m.heads, n_inner=m.hidden, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            use_cache=False, **ends,
        )  # fmt: skip
    if kind == "bart":
        return transformers.BartConfig(
            vocab_size=m.vocab, d_model=m.dim, max_position_embeddings=m.length,
            encoder_layers=m.layers, decoder_layers=m.layers, encoder_ffn_dim=m.hidden,
            decoder_ffn_dim=m.hidden, encoder_attention_heads=m.heads, dropout=0.0,
            decoder_attention_heads=m.heads, use_cache=False, decoder_start_token_id=3,
            forced_eos_token_id=None, **ends,
        )  # fmt: skip
    if kind == "t5":
        return transformers.T5Config(
            vocab_size=m.vocab, d_model=m.dim, d_kv=m.dim // m.heads, d_ff=m.hidden,
            num_layers=m.layers, num_heads=m.heads, dropout_rate=0.0, use_cache=False,
            decoder_start_token_id=0, eos_token_id=3, pad_token_id=0,
        )  # fmt: skip
    common = {
        "vocab_size": m.vocab, "hidden_size": m.dim, "num_hidden_layers": m.layers,
        "num_attention_heads": m.heads, "intermediate_size": m.hidden,
        "max_position_embeddings": m.length,
    }  # fmt: skip
    if kind == "modernbert":
        return transformers.ModernBertConfig(**common, **ends, cls_token_id=2, sep_token_id=3)
    plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return transformers.BertConfig(**common, **plain, pad_token_id=0)


CLASSES = {
    "gpt2": "AutoModelForCausalLM", "bert": "AutoModelForMaskedLM", "t5": "AutoModelForSeq2SeqLM",
    "modernbert": "AutoModelForMaskedLM", "bart": "AutoModelForSeq2SeqLM",
}  # fmt: skip


def build(kind: str, cfg: transformers.PretrainedConfig, cuda: bool) -> tuple[torch.nn.Module, str]:
    """(model, its attention): Flash Attention 2 where it is installed, else PyTorch's fused one,
    else, where the family has neither (T5), the plain one."""
    names = ("flash_attention_2", "sdpa", "eager") if cuda else ("sdpa", "eager")
    dtype, found = (torch.bfloat16 if cuda else torch.float32), None
    for name in names:
        try:
            auto = getattr(transformers, CLASSES[kind])
            return auto.from_config(cfg, attn_implementation=name, torch_dtype=dtype), name
        except (ImportError, ValueError) as error:
            found = error
    raise RuntimeError(f"no attention of {kind} can be used: {found}")


class Peer:
    """A model with its optimizer. `once()` makes a step and returns its seconds.

    side: what it is, for the table
    """

    def __init__(self, name: str, model: GPUModel):
        torch.manual_seed(0)
        self.cuda, kind = torch.cuda.is_available(), CONFIGS[name]
        self.device = torch.device("cuda" if self.cuda else "cpu")
        self.model, attention = build(kind, config_of(kind, model), self.cuda)
        self.model.to(self.device, torch.float32).train()
        self.side = f"HF, {attention}"
        if self.cuda:  # on a CPU it would need a C++ compiler
            self.model.compile()
            self.side += ", torch.compile"
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        made, self.loss = arrays(model.family, model.shape), float("nan")
        if model.family == "encoder":
            given = {"input_ids": made["tokens"], "labels": labels(made)}
        elif model.family == "decoder":
            given = {"input_ids": made["tokens"], "labels": made["tokens"]}
        else:
            given = {"input_ids": made["source"], "decoder_input_ids": made["tokens"]}
            given["labels"] = made["targets"]
        self.given = {k: torch.as_tensor(v).long().to(self.device) for k, v in given.items()}

    def once(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        mixed = torch.autocast(self.device.type, torch.bfloat16)
        with mixed if self.cuda else contextlib.nullcontext():
            loss = self.model(**self.given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.loss = loss.item()  # waits for the device
        return time.perf_counter() - began

    def peak_bytes(self) -> int:
        """Most memory in use so far: of the device, or of this process."""
        if self.cuda:
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
