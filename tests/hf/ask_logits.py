"""Logits of a masked language model in transformers: FOLDER IDS -> {"version", "logits"}."""

import json
import sys

import torch
import transformers

folder, ids = sys.argv[1:]
model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
with torch.no_grad():
    logits = model(torch.tensor([json.loads(ids)])).logits[0]
print(json.dumps({"version": transformers.__version__, "logits": logits.tolist()}))
