"""Restores a checkpoint onto a mesh and saves it elsewhere: one of the processes of a test.

python restoring_process.py FROM TO DATA FSDP TENSOR; the other processes as for `distributed=auto`
"""

import sys
from pathlib import Path

from fxformer.distributed.config import DistributedConfig
from fxformer.train.checkpoint_files import read_host
from fxformer.train.checkpoint_pieces import StoredPieces
from fxformer.train.mesh import MeshConfig, with_shardings
from fxformer.train.processes import Processes

RULES = [("kernel$", -1), ("(embedding|odd|moment)$", -2)]


def main(source: str, target: str, data: str, fsdp: str, tensor: str) -> None:
    """Restore and save; the sharding of each array is printed by process 0."""
    processes = Processes(DistributedConfig(detect=True, heartbeat_seconds=60.0).join())
    with processes.guarded():
        sizes = {"data": int(data), "fsdp": int(fsdp), "tensor": int(tensor)}
        config = MeshConfig(**sizes, min_size=8, tensor_rules=RULES)
        mesh = config.mesh()
        folder = Path(source, "00000007")
        like = StoredPieces(folder, read_host(folder)).abstract()
        like = with_shardings(like, config.shardings(like, mesh))
        found = processes.checkpoints(Path(source)).restore(like)
        assert found is not None
        if processes.group.first:
            print({path: tuple(leaf.sharding.spec) for path, leaf in found.state.items()})
        saved = processes.checkpoints(Path(target), copy_state=True)
        saved.save(found.step, found.state, found.host, metric=0.5)
        assert saved.wait()


if __name__ == "__main__":
    from fxformer.train import signals

    main(*sys.argv[1:])
    signals.end(0)
