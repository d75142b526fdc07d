"""The other side of `benchmarks finetune`, in an interpreter that has torch and transformers.

Reads a JSON object a line from standard input, answers a line each:
{"versions": true}; {"load": folder, "kind": …, "dropout": bool, "lr": …, "steps": …} opens model
and batches; {"tokenize": weights, "length": …, "stride": …} compares the token ids of texts;
{"steps": n} trains; {"evaluate": file} writes the outputs of the held-out batches.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers

KINDS = {
    "sequence": transformers.AutoModelForSequenceClassification,
    "token": transformers.AutoModelForTokenClassification,
    "question": transformers.AutoModelForQuestionAnswering,
}
NO_DROPOUT = {
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0
}  # fmt: skip
UNSEEN = -1e9  # logit of padding, which cannot be part of an answer


class Side:
    """A model with AdamW and a linear schedule, as transformers' scripts make them."""

    def __init__(self, request: dict):
        folder, more = Path(request["load"]), {} if request["dropout"] else NO_DROPOUT
        self.kind, self.number, self.folder = request["kind"], 0, folder
        self.model = KINDS[self.kind].from_pretrained(folder / "model", dtype=torch.float32, **more)
        self.model.train()
        torch.manual_seed(request["seed"])
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=request["lr"], betas=(0.9, 0.999), weight_decay=0.0,
            fused=True,
        )  # fmt: skip
        self.schedule = transformers.get_linear_schedule_with_warmup(
            self.optimizer, 0, request["steps"]
        )
        self.data = {name: dict(np.load(folder / f"{name}.npz")) for name in ("train", "valid")}

    def inputs(self, split: str, number: int) -> tuple[dict, torch.Tensor, int]:
        """(arguments of the model, labels, tokens of the longest row) of a batch; the batch is cut
        to its longest row, as a collator that pads to the longest does."""
        count = int((self.data[split]["index"][number] >= 0).sum())
        data = {name: array[number, :count] for name, array in self.data[split].items()}
        mask = data["segments"] > 0
        width = int(mask.sum(1).max())
        given = {
            "input_ids": _long(data["tokens"][:, :width]),
            "attention_mask": _long(mask[:, :width]),
            "token_type_ids": _long(data["types"][:, :width]),
        }
        classes, weights = data["classes"], data["weights"]
        if self.kind == "token":
            classes = np.where(weights > 0, classes, -100)[:, :width]
        else:
            classes = classes[:, 0]
        return given, _long(classes), width

    def loss(self, given: dict, labels: torch.Tensor) -> torch.Tensor:
        """The loss of the model; of answers the softmax leaves padding out, as ours does."""
        if self.kind != "question":
            return self.model(**given, labels=labels).loss
        made, mask = self.model(**given), given["attention_mask"] == 0
        both = [made.start_logits, made.end_logits]
        both = [one.masked_fill(mask, UNSEEN) for one in both]
        losses = [
            torch.nn.functional.cross_entropy(one, labels[:, n]) for n, one in enumerate(both)
        ]
        return (losses[0] + losses[1]) / 2

    def train(self, count: int) -> dict:
        """Make steps; how long each took."""
        seconds, losses, cpu = [], [], time.process_time()
        for _ in range(count):
            began = time.perf_counter()
            given, labels, _ = self.inputs("train", self.number)
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(given, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            losses.append(loss.item())
            seconds.append(time.perf_counter() - began)
            self.number += 1
        cpu = time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": seconds, "losses": losses, "cpu": cpu, "peak_mb": peak}

    def evaluate(self, file: str) -> dict:
        """Write the outputs of all held-out batches, float32 [batches, examples, …]."""
        self.model.eval()
        tokens, found = self.data["valid"]["tokens"], []
        for number in range(len(tokens)):
            given, _, width = self.inputs("valid", number)
            with torch.inference_mode():
                made = self.model(**given)
            if self.kind == "question":
                made = torch.stack([made.start_logits, made.end_logits], -1).numpy()
            else:
                made = made.logits.numpy()
            shape = tokens.shape[1:] if self.kind != "sequence" else tokens.shape[1:2]
            whole = np.full((*shape, made.shape[-1]), UNSEEN, np.float32)
            here = (slice(len(made)), slice(width))[: len(shape)]
            whole[here] = made
            found.append(whole)
        np.save(file, np.stack(found))
        self.model.train()
        return {}


def tokenize(request: dict) -> dict:
    """{"texts": how many, "different": how many have other token ids than ours}."""
    known = json.loads((Path(request["folder"]) / "texts.json").read_text())
    tokenizer = transformers.AutoTokenizer.from_pretrained(request["tokenize"])
    length, different = request["length"], 0
    for text, ours in zip(known["texts"], known["ids"], strict=True):
        if len(text) == 2:
            room = (length - len(tokenizer(text[0])["input_ids"]) - 1) // 2
            found = tokenizer(
                *text, truncation="only_second", max_length=length,
                stride=min(request["stride"], room), return_overflowing_tokens=True,
            )["input_ids"]  # fmt: skip
        elif isinstance(text[0], list):
            if len(ours) > 1:
                continue  # cut between words by ours, cut off by theirs
            found = [tokenizer(text[0], is_split_into_words=True)["input_ids"]]
        else:
            found = [tokenizer(text[0], truncation=True, max_length=length)["input_ids"]]
        different += found != ours
    return {"texts": len(known["texts"]), "different": different}


def _long(array) -> torch.Tensor:
    return torch.as_tensor(np.asarray(array)).long()


def main() -> None:
    """Answer until standard input ends."""
    torch.set_num_threads(int(sys.argv[1]))
    transformers.logging.set_verbosity_error()
    answers, sys.stdout = sys.stdout, sys.stderr
    side = None
    for line in sys.stdin:
        request, answer = json.loads(line), {}
        if "versions" in request:
            answer = {"torch": torch.__version__, "transformers": transformers.__version__}
        elif "load" in request:
            side = Side(request)
        elif "tokenize" in request:
            answer = tokenize(request)
        elif "steps" in request:
            answer = side.train(request["steps"])
        else:
            answer = side.evaluate(request["evaluate"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
