"""Options in groups, each under a title in the help: click has one list for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["GroupedCommand", "options"]


def options(title: str, *decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A group of options, to decorate a command that is a `GroupedCommand`.

    Parameters
    ----------
    title : str
    *decorators : callable
        As `click.option` makes them, in the order of the help.
    """

    def decorate(function: Any) -> Any:
        before = len(getattr(function, "__click_params__", ()))
        for decorator in reversed(decorators):
            function = decorator(function)
        titles = function.__dict__.setdefault("titles", {})
        titles.update({parameter.name: title for parameter in function.__click_params__[before:]})
        return function

    return decorate


class GroupedCommand(click.Command):
    """A command whose options stand under the titles of their groups; those without one come with the last group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups one after the other."""
        titles: dict[str | None, str] = getattr(self.callback, "titles", {})
        groups: dict[str, list[tuple[str, str]]] = {}
        title = "Options"
        for parameter in self.get_params(ctx):
            title = titles.get(parameter.name, title)
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):  # arguments stand in the usage
                groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)
