"""``routed completion``: scripts for bash, zsh and fish, made from the table of arguments.

Pure text. One writer a shell; what there is to complete stands in ``arguments`` alone.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Final

from routed.cli.arguments import COMMON, VERBS, Argument
from routed.cli.exits import Exit
from routed.cli.terminal import say


def run(options: Namespace) -> Exit:
    """Print the script of ``options.shell``."""
    say(WRITERS[options.shell]())
    return Exit.DONE


def write_bash() -> str:
    """The script for bash: ``source <(routed completion bash)``."""
    every = {argument.names: argument for argument in (*COMMON, *(a for v in VERBS.values() for a in v.arguments))}
    values = "\n".join(
        f"        {'|'.join(argument.names)}) COMPREPLY=({_bash_values(argument)}); return ;;"
        for argument in every.values()
        if argument.is_option and argument.metavar
    )
    verbs = "\n".join(
        f'        {name}) words="{_join(_option_names(verb.arguments))}"; {_bash_positional(verb.arguments)} ;;'
        for name, verb in VERBS.items()
    )
    return f"""# bash completion of routed
_routed() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" verb="" word words=""
    COMPREPLY=()
    case "$previous" in
{values}
    esac
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$word" in
            {"|".join(VERBS)}) verb="$word"; break ;;
        esac
    done
    case "$verb" in
{verbs}
        *) words="{_join(VERBS)}" ;;
    esac
    COMPREPLY+=($(compgen -W "$words {_join(_option_names(COMMON))} --help" -- "$current"))
}}
complete -F _routed routed"""


def write_zsh() -> str:
    """The script for zsh: a file ``_routed`` somewhere in ``fpath``."""
    verbs = "\n".join(f"        {_quote(f'{name}:{verb.help}')}" for name, verb in VERBS.items())
    cases = "\n".join(
        f"        {name}) _arguments $common {' '.join(_zsh_spec(argument) for argument in verb.arguments)} ;;"
        for name, verb in VERBS.items()
    )
    return f"""#compdef routed
_routed() {{
    local curcontext="$curcontext" state line
    local -a common verbs
    common=({" ".join(_zsh_spec(argument) for argument in COMMON)} '--help[show help]')
    verbs=(
{verbs}
    )
    _arguments -C $common '1: :->verb' '*:: :->rest'
    case "$state" in
        verb) _describe -t commands 'routed command' verbs ;;
        rest) case "$words[1]" in
{cases}
        esac ;;
    esac
}}
if [ "$funcstack[1]" = _routed ]; then _routed "$@"; else compdef _routed routed; fi"""


def write_fish() -> str:
    """The script for fish: ``routed completion fish | source``."""
    lines = ["# fish completion of routed", "complete -c routed -f"]
    lines += [
        f"complete -c routed -n __fish_use_subcommand -a {name} -d {_quote(verb.help)}" for name, verb in VERBS.items()
    ]
    lines += [f"complete -c routed{_fish_option(argument)}" for argument in COMMON]
    for name, verb in VERBS.items():
        seen = f"complete -c routed -n '__fish_seen_subcommand_from {name}'"
        lines += [seen + _fish_option(argument) for argument in verb.arguments if argument.is_option]
        lines += [seen + _fish_values(argument) for argument in verb.arguments if not argument.is_option]
    return "\n".join(lines)


WRITERS: Final[dict[str, Callable[[], str]]] = {"bash": write_bash, "zsh": write_zsh, "fish": write_fish}


def _option_names(arguments: Iterable[Argument]) -> list[str]:
    return [name for argument in arguments if argument.is_option for name in argument.names]


def _bash_values(argument: Argument) -> str:
    if argument.choices:
        return f'$(compgen -W "{_join(argument.choices)}" -- "$current")'
    flag = {"file": "-f", "directory": "-d"}.get(argument.completes)
    return f'$(compgen {flag} -- "$current")' if flag else ""


def _bash_positional(arguments: Iterable[Argument]) -> str:
    values = [_bash_values(argument) for argument in arguments if not argument.is_option]
    return f"COMPREPLY=({' '.join(value for value in values if value)})"


def _zsh_spec(argument: Argument) -> str:
    files = {"file": "_files", "directory": "_directories"}.get(argument.completes, "")
    action = f"({_join(argument.choices)})" if argument.choices else files
    if not argument.is_option:
        return _quote(f"1{'' if argument.is_required else ':'}:{argument.help}:{action}")
    value = f":{argument.metavar}:{action}" if argument.metavar else ""
    return " ".join(_quote(f"{name}[{argument.help}]{value}") for name in argument.names)


def _fish_option(argument: Argument) -> str:
    names = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in argument.names)
    return f"{names} -d {_quote(argument.help)}{' -r' if argument.metavar else ''}{_fish_values(argument)}"


def _fish_values(argument: Argument) -> str:
    if argument.choices:
        return f" -a {_quote(_join(argument.choices))}"
    return " -F" if argument.completes else ""


def _join(words: Iterable[str]) -> str:
    return " ".join(words)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
