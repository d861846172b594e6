"""The one exception type for mistakes that the user can mend."""


class UserError(Exception):
    """What was wrong, where, and how to mend it; `cli.py` prints it in one line and exits with 2.

    Args:
        problem: What was wrong and where (file, line, field).
        mend: What to do about it.
    """

    def __init__(self, problem: str, mend: str = "") -> None:
        self.problem = problem
        self.mend = mend
        # Whether another of several processes prints it.
        self.elsewhere = False
        super().__init__(f"{problem} {mend}".strip())
