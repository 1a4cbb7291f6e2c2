"""The `nsqgw` command: what a user did wrong ends in one line on stderr, never in a traceback.

Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 130 interrupted; a service gives its own (see
nsqgw.service.lifecycle). Nothing here needs the extra `gateways`, so that a missing one can be named, and
what takes a while to import is imported where Ctrl-C is caught.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.util import find_spec

logger = logging.getLogger(__name__)

EXTRA_PACKAGES = ("click", "orjson", "prometheus_client", "pydantic", "re2", "websockets")

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process's own by default) and return the exit code."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv) or ["--help"])
    except KeyboardInterrupt:
        return _fail("nsqgw: interrupted", EXIT_INTERRUPTED)


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from nsqgw.version import __version__

        print(f"nsqgw {__version__}")
        return 0
    missing = [package for package in EXTRA_PACKAGES if find_spec(package) is None]
    if missing:
        return _fail(f"nsqgw: {missing[0]} is not installed: pip install 'nsqgw[gateways]'", EXIT_FAILED)
    return _run_command(arguments)


def _run_command(arguments: list[str]) -> int:
    import click

    from gateways.cli.group import nsqgw
    from nsqgw.errors import NSQError

    try:
        code = nsqgw.main(arguments, prog_name="nsqgw", standalone_mode=False)
    except click.UsageError as error:
        command = "nsqgw" if error.ctx is None else error.ctx.command_path
        text = error.format_message().removesuffix(".")
        return _fail(f"{command}: {text} (see {command} --help)", error.exit_code)
    except click.ClickException as error:
        return _fail(f"{_path(arguments)}: {error.format_message()}", error.exit_code)
    except click.Abort:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from None
    except (NSQError, OSError) as error:
        return _fail(f"{_path(arguments)}: {_reason(error)}", EXIT_FAILED)
    except Exception as error:  # a mistake of ours: the log has the traceback, the user one line
        logger.debug("unexpected error", exc_info=True)
        text = f"unexpected {type(error).__name__}: {error} (--log-level debug shows where)"
        return _fail(f"{_path(arguments)}: {text}", EXIT_FAILED)
    return code if isinstance(code, int) else 0


def _path(arguments: Sequence[str]) -> str:
    """The command that the arguments lead to, as `nsqgw ship dlq list`."""
    from gateways.cli.group import nsqgw

    command: object = nsqgw
    path = "nsqgw"
    for word in arguments:
        found = getattr(command, "get_command", None)
        command = None if found is None else found(None, word)
        if command is None:
            break
        path += f" {word}"
    return path


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _fail(text: str, code: int) -> int:
    print(" ".join(text.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
