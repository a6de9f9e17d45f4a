"""`hopstream config`: check the settings, show them with their origin, print a sample file.

Knows: the three sub-verbs. Does not know: what settings do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ops import options

if TYPE_CHECKING:
    from stream.settings import Settings

config = typer.Typer(no_args_is_help=True, help="Check, show or sample the settings.")


@config.command()
def check(file: options.Config = None, as_json: options.Json = False) -> None:
    """Check file and environment; exit status 2 and the offending key if they are not usable.

    Example: hopstream config check --config hopstream.toml
    """
    from ops.server.rules import Rules

    rules = options.settings_from(file).rules
    Rules.parsed(rules.hide, rules.boost, rules.cap_per_category)
    if as_json:
        options.print_json({"ok": True})
    else:
        print("configuration ok")


@config.command()
def show(file: options.Config = None, as_json: options.Json = False) -> None:
    """Print every setting as it is in force; those that differ from the default are marked.

    Example: hopstream config show --json
    """
    settings = options.settings_from(file)
    if as_json:
        options.print_json(settings.model_dump(mode="json"))
        return
    for line in shown(settings):
        print(line)


@config.command()
def sample() -> None:
    """Print a file with every setting at its default.

    Example: hopstream config sample > hopstream.toml
    """
    from ops import sample as samples

    print(samples.sample(), end="")


def shown(settings: Settings) -> list[str]:
    """The settings as TOML lines, the changed ones with their default beside them."""
    from ops.sample import is_duration, toml_value
    from stream.settings import Settings as Known

    lines: list[str] = []
    for section in Known.model_fields:
        lines.append(f"[{section}]")
        in_force: Any = getattr(settings, section)
        for key, field in type(in_force).model_fields.items():
            value, default = getattr(in_force, key), field.get_default()
            if value is None:
                lines.append(f"# {key} =  # not set")
                continue
            text = f"{key} = {toml_value(value, is_duration(field))}"
            changed = value != default
            was = "not set" if default is None else toml_value(default, is_duration(field))
            lines.append(f"{text}  # changed, default {was}" if changed else text)
    return lines
