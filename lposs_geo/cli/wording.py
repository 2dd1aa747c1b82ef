"""The command line's own words for the settings that hints name: ``<overwrite=True>`` is ``--overwrite`` here."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

from lposs_geo.hints import Words

__all__ = ["words_here", "words_of"]

_SPELLED = {
    "src": "scenes",
    "dst": "output",
    "legend": "legend_name",
    "model": "model_name",
    "local_only": "no_network",
}
"""Settings that the commands keep under another name, by their keyword in Python."""


def words_here() -> Words:
    """The words of the command that is at work."""
    context = click.get_current_context()
    return words_of(context.command, context.find_root().command)


def words_of(command: click.Command, root: click.Command) -> Words:
    """The words of a command; what it hasn't got itself goes by what the other commands of its root call it.

    A hint of `info` may name what only `map` takes.
    """
    parameters: dict[str, click.Parameter] = {}
    for each in (command, *_within(root)):
        for parameter in each.params:
            parameters.setdefault(parameter.name or "", parameter)

    def words(keyword: str, value: str | None) -> str:
        parameter = parameters.get(_SPELLED.get(keyword, keyword))
        if isinstance(parameter, click.Option):
            return _as_option(parameter, value)
        argument = parameter.human_readable_name.rstrip(".") if parameter else f"--{keyword.replace('_', '-')}"
        return argument if value is None else f"{argument} {shlex.quote(value)}"

    return words


def _within(root: click.Command) -> Iterator[click.Command]:
    for command in root.commands.values() if isinstance(root, click.Group) else ():
        yield command
        yield from _within(command)


def _as_option(option: click.Option, value: str | None) -> str:
    name = max(option.opts, key=len)
    if not option.is_flag:
        return name if value is None else f"{name} {shlex.quote(value)}"
    if value != "False":
        return name
    return max(option.secondary_opts, key=len) if option.secondary_opts else f"no {name}"
