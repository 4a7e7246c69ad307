"""What ends ssh's ProxyCommand. A file of its own, since the program that raises it runs as `__main__`."""


class Stop(Exception):
    """One line for the person; `code` is the exit code."""

    def __init__(self, line: str, code: int = 1) -> None:
        super().__init__(line)
        self.code = code
