"""UserError: the base class of errors whose message is an instruction for the user."""


class UserError(ValueError):
    """What the user gave cannot be used: a config, a command, a file, a machine that lacks a part.

    The command line prints the message alone and exits with 2. It says what is wrong, where, and
    what to write instead, in one line for each problem. Any other exception is a bug, printed with
    its traceback. Subclasses ValueError, so that library code can be called without this package.
    """
