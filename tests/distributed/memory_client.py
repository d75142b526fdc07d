"""A coordination service of threads of one process, with the calls that ProcessGroup makes."""

import threading
import time


class MemoryClient:
    """The key-value store that all groups of a test share."""

    def __init__(self):
        self.values, self.changed = {}, threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        with self.changed:
            if key in self.values and not allow_overwrite:
                raise RuntimeError("ALREADY_EXISTS")
            self.values[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, milliseconds):
        end = time.monotonic() + milliseconds / 1000
        with self.changed:
            while key not in self.values:
                if not self.changed.wait(end - time.monotonic()):
                    raise RuntimeError("DEADLINE_EXCEEDED")
            return self.values[key]

    def key_value_try_get(self, key):
        if key not in self.values:
            raise RuntimeError("NOT_FOUND")
        return self.values[key]

    def key_value_dir_get(self, prefix):
        with self.changed:
            return [(k, v) for k, v in self.values.items() if k.startswith(prefix)]

    def key_value_delete(self, key):
        with self.changed:
            self.values.pop(key, None)
