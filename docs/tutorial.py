"""Tutorial: plan, train, inspect, search and compare, in about ten minutes on two CPU cores.

    python docs/tutorial.py                   run it all; its runs are in ./runs
    TUTORIAL_STEPS=20 python docs/tutorial.py    a quick pass

The cells begin with `# %%`: Jupyter (with jupytext), VS Code and PyCharm open this file as a
notebook. Each command is what one would type in a shell.
"""

# %%
import os
import subprocess
import sys

STEPS = int(os.environ.get("TUTORIAL_STEPS", "300"))


def fxformer(*words: str) -> None:
    """Run a command and show it."""
    print("\n$ fxformer", *words, flush=True)
    subprocess.run([sys.executable, "-m", "fxformer", *words], check=True)


# %% [markdown]
# ## 1. What will it cost?
#
# `plan` composes the config, checks it and counts parameters, FLOPs, memory, time and energy.
# Nothing is trained. The same words after `train` run it. `model`, `objective` and `data` choose
# options of config groups (docs/configs.md); `trainer.steps` sets a key.

# %%
SMALL = ["size=tiny", "data=stdlib_docs", "data.length=64", f"trainer.steps={STEPS}"]
SMALL += [f"trainer.eval_every={max(STEPS // 3, 1)}", f"trainer.save_every={max(STEPS // 3, 1)}"]
BERT = ["model=bert", "objective=mlm"]
GPT2 = ["model=gpt2", "objective=clm"]
fxformer("plan", *BERT, *SMALL)

# %% [markdown]
# ## 2. Train a masked and a causal language model
#
# Each run is a folder `runs/TIME-NAME/` with its config, metrics, samples, checkpoints and energy.

# %%
fxformer("train", *BERT, *SMALL, "name=bert")
fxformer("train", *GPT2, *SMALL, "name=gpt2")

# %% [markdown]
# ## 3. Read the runs
#
# A run is named by its folder or by the name it was given. The files are plain: JSON Lines for
# metrics and energy, YAML for the config, so that any tool reads them.

# %%
fxformer("runs")
fxformer("show", "gpt2")

# %%
from fxformer.track.run_reader import find  # noqa: E402

run = find("runs", "gpt2")
held_out = {line["step"]: line["loss"] for line in run.lines if line["split"] == "valid"}
print("held-out loss by step:", held_out)
print("joules:", round(run.energy().joules))

# %% [markdown]
# ## 4. Look inside
#
# The attention of every head for a text, and what the model predicts for the masked token, as one
# HTML file that opens without a network.

# %%
fxformer("attention", "bert", "--text", "Return the <mask> of the list.", "-o", "attention.html")

# %% [markdown]
# ## 5. Search
#
# Several values and `-m` make a search; an interval is drawn from at random. Given again, the same
# command goes on where it stopped. All trials, failed ones too, count in its energy.

# %%
fxformer(
    "train", "-m", *GPT2, *SMALL, f"trainer.steps={max(STEPS // 3, 2)}",
    "optimizer.lr=tag(log,interval(1e-4,1e-2))", "search.trials=4", "search.name=lr",
)  # fmt: skip
fxformer("search", "lr")

# %% [markdown]
# ## 6. Compare objectives
#
# The losses of a masked and of a causal model answer different questions. `compare` scores all runs
# on the same held-out spans, here with checkpoints of equal energy.

# %%
fxformer("compare", "bert", "gpt2", "--at", "joules")

# %% [markdown]
# ## 7. What did it all cost?

# %%
fxformer("energy")
fxformer("report", "-o", "report.html")
print("\nopen report.html, or run `fxformer dashboard` for the live page")
