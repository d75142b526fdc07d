"""`fxformer` that is sent SIGTERM at a certain place: python interrupted_command.py PLACE WORD…"""

import hashlib
import importlib
import os
import signal
import sys
import threading

PLACES = {
    "startup": ("fxformer.cli.app", "_settled"),
    "corpus": ("fxformer.train.setup", "open_experiment"),
    "compile": ("fxformer.train.trainer", "Trainer.first_compiled"),
    "evaluate": ("fxformer.train.setup", "SplitBatches.derive"),
    "sample": ("fxformer.train.trainer", "generate_samples"),
    "end": ("fxformer.train.trainer", "Trainer.conclude"),
}


def patch(place: str, stuck: bool) -> None:
    module, name = PLACES[place]
    owner = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    before, times = getattr(owner, last), [0]

    def stopping(*args, **knobs):
        times[0] += 1
        if times[0] == 1 + (place == "evaluate"):  # it is first called while the config is judged
            if not stuck:
                os.kill(os.getpid(), signal.SIGTERM)
            else:  # in C, where no handler of Python runs
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
                hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        return before(*args, **knobs)

    setattr(owner, last, stopping)


if __name__ == "__main__":
    from fxformer.__main__ import entry
    from fxformer.train import signals

    place, _, stuck = sys.argv[1].partition("-")
    if stuck:
        signals.deadline.patience = 1.0
        signals.GRACE = 1.0
    sys.argv[1:] = sys.argv[2:]
    patch(place, bool(stuck))
    entry()
