"""One of two processes that train one model together, as `jax.distributed` does on a cluster.

python -m tests.energy.distributed_process PORT FOLDER NUMBER: the folder has a fake RAPL zone and
gets energy.jsonl. Says "metering" before the training and "trained" after it, each time waiting for
a line of stdin.
"""

import sys
from functools import partial
from pathlib import Path

import jax


def main(port: str, folder: Path, number: int) -> None:
    """Join, train, write the ledger."""
    jax.distributed.initialize(
        f"127.0.0.1:{port}", num_processes=2, process_id=number, initialization_timeout=60
    )
    from fxformer.energy import config as parts
    from fxformer.energy.ledger import Ledger
    from fxformer.energy.rapl import RAPL
    from tests.physics.training import ready, train

    assert jax.process_count() == 2 and jax.device_count() == 2
    parts.RAPL = partial(RAPL, root=folder)
    parts.shared_folder = lambda: folder / "locks"
    meter = parts.AutoEnergy(read_every_seconds=0.1).open(accelerators=[])
    ledger = Ledger(folder / "energy.jsonl", every=0.2)
    small = ("model.dim=16", "model.heads=2", "model.ffn.hidden=32", "data.length=16")
    setup = ready(
        "model=gpt2", "objective=clm", "data=markov", "tokenizer=none", "data.symbols=8", *small,
        "data.batch=8", "mesh=data", "trainer.steps=10", "trainer.compile_cache=null",
    )  # fmt: skip
    _wait("metering")
    trained = train(setup, meter=meter)
    _wait("trained")
    ledger.close(meter, step=int(trained.state.step))
    meter.close()
    jax.distributed.shutdown()


def _wait(at: str) -> None:
    print(at, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
