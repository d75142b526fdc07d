"""The other side of `benchmarks generate`, in an interpreter that has torch and transformers.

Reads a JSON object a line from standard input, answers a line each:
{"make": folder, "shape": {...}} writes a model with random weights; {"load": folder} opens it;
{"versions": true} answers those of torch and transformers;
{"case": {...}} generates and answers {"seconds": …, "cpu": …, "ids": [[…]], "peak_mb": …}.
"""

import json
import resource
import sys
import time

import torch
import transformers


def make(folder: str, shape: dict) -> None:
    """A GPT-2 or BART with random weights, saved."""
    common = {"vocab_size": shape["vocab"], "eos_token_id": None, "bos_token_id": None}
    if shape["architecture"] == "decoder":
        config = transformers.GPT2Config(
            **common, n_embd=shape["width"], n_layer=shape["layers"], n_head=shape["heads"],
            n_positions=512,
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.BartConfig(
            **common, d_model=shape["width"], encoder_layers=shape["layers"],
            decoder_layers=shape["layers"], encoder_attention_heads=shape["heads"],
            decoder_attention_heads=shape["heads"], encoder_ffn_dim=4 * shape["width"],
            decoder_ffn_dim=4 * shape["width"], max_position_embeddings=512, pad_token_id=1,
            decoder_start_token_id=2, forced_eos_token_id=None,
        )  # fmt: skip
        model = transformers.BartForConditionalGeneration(config)
    torch.manual_seed(0)
    for parameter in model.parameters():  # so wide that the most probable token is clear
        torch.nn.init.normal_(parameter, std=0.08)
    model.save_pretrained(folder)


def generate(model, case: dict) -> dict:
    """One call of transformers' generate."""
    ids = torch.tensor(case["ids"])
    torch.manual_seed(0)
    began, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        found = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=case["new"],
            min_new_tokens=case["new"],
            do_sample=case["sample"],
            num_beams=case["beams"],
            pad_token_id=1,
            eos_token_id=None,
        )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ids = found[:, -case["new"] :].tolist()
    return {"seconds": seconds, "cpu": cpu, "ids": ids, "peak_mb": peak}


def main() -> None:
    """Answer until standard input ends."""
    torch.set_num_threads(int(sys.argv[1]))
    transformers.logging.set_verbosity_error()
    model = None
    for line in sys.stdin:
        request, answer = json.loads(line), {}
        if "make" in request:
            make(request["make"], request["shape"])
        elif "versions" in request:
            answer = {"torch": torch.__version__, "transformers": transformers.__version__}
        elif "load" in request:
            kind = transformers.AutoModelForCausalLM
            if request["architecture"] == "seq2seq":
                kind = transformers.AutoModelForSeq2SeqLM
            model = kind.from_pretrained(request["load"], dtype=torch.float32).eval()
        else:
            answer = generate(model, request["case"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
