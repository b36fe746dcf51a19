"""The one exception that stands for a user's mistake rather than ours."""


class UserError(ValueError):
    """What a user wrote or gave cannot work.

    The message is one line that names the key (or file), its value and the remedy. The entry points print it
    as ``error: ...`` and exit with status 2; it never carries a traceback to the user.
    """
