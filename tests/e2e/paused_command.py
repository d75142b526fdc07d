"""`fxformer` that waits after a step until it is signalled: python paused_command.py STEP WORD…

So a test finds it at work, however late it looks.
"""

import os
import sys
import time

from fxformer.track.tracker import Trackers
from fxformer.train import signals


def hold(at: int) -> None:
    """Wait after step `at` has been logged for a signal; without its parent, no longer."""
    log, parent = Trackers.log, os.getppid()

    def holding(self, step, split, metrics):
        log(self, step, split, metrics)
        while step == at and not signals.deadline.signalled and os.getppid() == parent:
            time.sleep(0.01)

    Trackers.log = holding


if __name__ == "__main__":
    from fxformer.__main__ import entry

    hold(int(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    entry()
