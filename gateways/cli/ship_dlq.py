"""`nsqgw ship dlq`: dead letters listed, shown, and replayed to where they belong."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import click

from gateways.cli.access import access_options, taken_access
from gateways.cli.config_errors import reported
from gateways.cli.go_flags import GoCommand
from gateways.cli.main import EXIT_FAILED
from gateways.cli.options import ADDRESS, CHANNEL, DURATION, LOOKUP_ADDRESS, TOPIC, Parsed
from gateways.cli.subcommands import Commands
from gateways.pipeline.sink import Sink
from gateways.ship.config_file import load_config
from gateways.ship.dead_letters.envelope import Letter
from gateways.ship.dead_letters.export import export
from gateways.ship.dead_letters.letter_file import LetterFile
from gateways.ship.dead_letters.letter_topic import LetterTopic
from gateways.ship.dead_letters.replay import IntoSink, OriginalTopic, Tally, Target, replay
from gateways.ship.dead_letters.source import Source
from gateways.ship.destination import KNOWN, parse_destination
from gateways.ship.transforms.expression import Expression
from nsqgw import Producer
from nsqgw.service import logs

_IN_FLIGHT = 1000
_RATE_AHEAD = (
    60.0  # seconds of letters in hand at a slow rate: far below the time that nsqd leaves them to us
)
_SHOWN_REASON = 100
_CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.group("dlq", cls=Commands, context_settings=_CONTEXT)
def command() -> None:
    """Look at dead letters, in a file or an NSQ topic, replay them, and take copies of them."""


def _source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What all commands take: where the letters are, and which of them count."""
    for option in (
        click.option(
            "--where", type=Parsed("expression", Expression), help="Only letters of which this is true."
        ),
        access_options,
        click.option(
            "--connect-timeout", type=DURATION, default="10s", show_default=True, help="For an nsqd."
        ),
        click.option(
            "--wait",
            type=DURATION,
            default="2s",
            show_default=True,
            help="All were seen when no more came so long.",
        ),
        click.option(
            "--lookupd-http-address", "lookupds", type=LOOKUP_ADDRESS, multiple=True, help="An nsqlookupd."
        ),
        click.option("--nsqd-tcp-address", "nsqds", type=ADDRESS, multiple=True, help="An nsqd; repeatable."),
        click.option(
            "--channel", type=CHANNEL, default="dlq", show_default=True, help="Its channel to read on."
        ),
        click.option("--topic", type=TOPIC, help="Or the topic they are in."),
        click.option("--file", type=click.Path(path_type=Path), help="The file that the letters are in."),
    ):
        function = option(function)
    return function


_ALL = click.option("--all", "again", is_flag=True, help="Those of a file that were replayed before, too.")


@command.command("list", cls=GoCommand, context_settings=_CONTEXT)
@_source_options
@_ALL
@click.option(
    "--limit", type=click.IntRange(1, 2500), default=1000, show_default=True, help="So many at most."
)
@click.option("--json", "as_json", is_flag=True, help="The letters themselves, one a line.")
def list_command(as_json: bool, limit: int, **flags: Any) -> int:
    """List letters: place, time, topic, sink, attempts and reason."""
    return _run(_list(flags, limit, as_json))


@command.command("show", cls=GoCommand, context_settings=_CONTEXT)
@_source_options
@_ALL
@click.argument("place")
def show_command(place: str, **flags: Any) -> int:
    """Show the letter at PLACE, which `list` tells: all that is known of it, and its body."""
    return _run(_show(flags, place))


@command.command("replay", cls=GoCommand, context_settings=_CONTEXT)
@_source_options
@_ALL
@click.option(
    "--to", type=Parsed("destination", parse_destination), help=f"Into this in place of NSQ: {KNOWN}."
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A config file, for --sink.",
)
@click.option("--sink", help="Into the sink of this name in --config.")
@click.option(
    "--rate", type=click.FloatRange(0), default=0.0, help="Letters a second; 0: as fast as it goes."
)
@click.option("--limit", type=click.IntRange(0), default=0, help="So many at most; 0: all.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
def replay_command(**flags: Any) -> int:
    """Publish letters to the topics they came from, or send them into a sink; each is then done with.

    Interrupt it when you like: what was confirmed does not come again, and everything else is still there.
    """
    return _run(_replay(flags))


@command.command("export", cls=GoCommand, context_settings=_CONTEXT)
@_source_options
@_ALL
@click.option("--output", type=click.Path(path_type=Path), help="A new file, in place of standard output.")
@click.option("--body", is_flag=True, help="The bodies alone; a newline in one stays what it is.")
@click.option("--limit", type=click.IntRange(0), default=0, help="So many at most; 0: all.")
def export_command(output: Path | None, body: bool, limit: int, **flags: Any) -> int:
    """Write letters as NDJSON, of which `list` and `replay` take a --file. They stay where they are, too.

    The exit code is 1 when something there is no letter.
    """
    if output is not None and output.exists():
        raise click.ClickException(f"{output} is there already: give another --output, or remove it")
    return _run(_export(flags, output, body, limit))


def _run(work: Any) -> int:
    logs.configure("error", "logfmt")  # what goes wrong ends the command and is told there
    return int(asyncio.run(work))


# -- the commands


async def _list(flags: dict[str, Any], limit: int, as_json: bool) -> int:
    wanted, shown = _wanted(flags.pop("where")), 0
    async with _source(flags, limit) as source, aclosing(source.letters()) as letters:
        async for found in letters:
            if found.letter is None:
                click.echo(f"{found.place}  {found.problem}", err=True)
            elif wanted(found.letter):
                click.echo(_as_json(found.letter) if as_json else _line(found.place, found.letter))
                shown += 1
            if shown >= limit:
                break
    return 0


async def _show(flags: dict[str, Any], place: str) -> int:
    wanted = _wanted(flags.pop("where"))
    async with _source(flags, _IN_FLIGHT) as source, aclosing(source.letters()) as letters:
        async for found in letters:
            if found.place != place:
                continue
            if found.letter is None:
                raise click.ClickException(f"what stands at {place} is no letter: {found.problem}")
            if wanted(found.letter):
                _print_letter(found.letter)
                return 0
    raise click.ClickException(f"there is no letter at {place}: `nsqgw ship dlq list` tells the places")


async def _replay(flags: dict[str, Any]) -> int:
    wanted = _wanted(flags.pop("where"))
    rate, limit, dry_run = flags.pop("rate"), flags.pop("limit"), flags.pop("dry_run")
    sink = _chosen_sink(flags.pop("to"), flags.pop("config"), flags.pop("sink"))
    access = taken_access(flags)
    in_flight = min(_IN_FLIGHT, max(1, int(rate * _RATE_AHEAD))) if rate else _IN_FLIGHT
    async with contextlib.AsyncExitStack() as stack:
        target = None
        if not dry_run:
            target = await stack.enter_async_context(_target(sink, flags, access.options()))
        source = await stack.enter_async_context(_source_of(flags, in_flight, access.options()))
        on_progress = stack.enter_context(_progress(source.total))
        tally = await replay(source, target, wanted=wanted, rate=rate, limit=limit, on_progress=on_progress)
    _tell(tally, dry_run)
    if source.total and not tally.seen:
        click.echo(f"all in {flags['file']} were replayed before: --all takes them again", err=True)
    return EXIT_FAILED if tally.failed or tally.unreadable else 0


async def _export(flags: dict[str, Any], output: Path | None, body: bool, limit: int) -> int:
    wanted = _wanted(flags.pop("where"))
    async with _source(flags, _IN_FLIGHT) as source:
        with contextlib.nullcontext(sys.stdout.buffer) if output is None else output.open("xb") as file:
            exported, unreadable = await export(source, file, wanted=wanted, bodies=body, limit=limit)
    click.echo(f"{exported} exported, {unreadable} are no letters", err=True)
    return EXIT_FAILED if unreadable else 0


# -- sources and targets


def _source(flags: dict[str, Any], in_flight: int) -> Source:
    return _source_of(flags, in_flight, taken_access(flags).options())


def _source_of(flags: dict[str, Any], in_flight: int, access: dict[str, Any]) -> Source:
    file, topic = flags["file"], flags["topic"]
    if (file is None) == (topic is None):
        raise click.UsageError("where are the letters? give --file or --topic, one of them")
    if file is not None:
        return LetterFile(file, again=flags["again"])
    _check_nsq(flags, "--topic")
    return LetterTopic(
        topic,
        flags["channel"],
        wait=flags["wait"],
        connect_timeout=flags["connect_timeout"],
        max_in_flight=in_flight,
        nsqd_tcp_addresses=flags["nsqds"],
        lookupd_http_addresses=flags["lookupds"],
        **access,
    )


def _check_nsq(flags: dict[str, Any], why: str) -> None:
    if not flags["nsqds"] and not flags["lookupds"]:
        raise click.UsageError(f"{why} needs --nsqd-tcp-address or --lookupd-http-address")


def _chosen_sink(to: Any, config: Path | None, name: str | None) -> Sink | None:
    """The sink to replay into; None for the original topics."""
    if (config is None) != (name is None):
        raise click.UsageError("--config and --sink go together: a file, and the name of a sink in it")
    if to is not None and name is not None:
        raise click.UsageError("--to and --sink are two places: give one of them")
    if config is not None:
        with reported():
            pipelines = load_config(config).pipelines
        sinks = {sink.name: sink.to for pipeline in pipelines for sink in pipeline.sinks}
        if name not in sinks:
            raise click.UsageError(f"--sink {name}: a pipeline of {config} uses {', '.join(sinks)}")
        to = sinks[name]
    return None if to is None else to.make(1)


@asynccontextmanager
async def _target(
    sink: Sink | None, flags: dict[str, Any], access: dict[str, Any]
) -> AsyncGenerator[Target, None]:
    if sink is not None:
        await sink.open()
        try:
            yield IntoSink(sink)
        finally:
            await sink.close()
        return
    _check_nsq(flags, "replaying to the original topics")
    addresses = {"nsqd_tcp_addresses": flags["nsqds"], "lookupd_http_addresses": flags["lookupds"]}
    async with Producer(**addresses, **access) as producer:
        await producer.wait_connected(flags["connect_timeout"])
        yield OriginalTopic(producer)


def _wanted(where: Expression | None) -> Callable[[Letter], bool]:
    if where is None:
        return lambda letter: True
    return lambda letter: where.holds(letter.message(), letter.fields)


# -- what is printed


@contextlib.contextmanager
def _progress(total: int | None) -> Iterator[Callable[[Tally], None]]:
    """A bar on stderr, when that is a terminal."""
    with click.progressbar(
        length=total or 0, label="letters", file=sys.stderr, hidden=total is None or not sys.stderr.isatty()
    ) as bar:
        yield lambda tally: bar.update(tally.seen - bar.pos)


def _tell(tally: Tally, dry_run: bool) -> None:
    verb = "would be replayed" if dry_run else "replayed"
    click.echo(
        f"{tally.replayed} {verb}, {tally.left} left by --where, {tally.failed} failed,"
        f" {tally.unreadable} are no letters"
    )
    for reason in tally.reasons:
        click.echo(f"failed: {reason}", err=True)


def _line(place: str, letter: Letter) -> str:
    fields = letter.fields
    reason = fields["reason"]
    shown = reason if len(reason) <= _SHOWN_REASON else f"{reason[: _SHOWN_REASON - 3]}..."
    line = f"{place}  {fields['time']}  {fields['topic']}  {fields['sink']}  {fields['attempts']}  {shown}"
    return _printable(line)


def _printable(text: str) -> str:
    """Without what would move a terminal's cursor, or worse: letters hold what strangers have published."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def _as_json(letter: Letter) -> str:
    import orjson

    return orjson.dumps(letter.fields).decode()


def _print_letter(letter: Letter) -> None:
    for name, value in letter.fields.items():
        if not name.startswith("body"):
            click.echo(_printable(f"{name}: {value}"))
    click.echo(f"body: {len(letter.body)} bytes")
    click.echo(_printable(letter.body.decode(errors="replace")) if sys.stdout.isatty() else letter.body)
