"""``routed completion``: scripts for bash, zsh and fish, made from the table of arguments.

One writer a shell; what there is to complete stands in ``arguments`` alone. Names that only the host knows a script
asks for with ``--offer`` (``offers``) when they are wanted.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Final

from routed.audit.printable import make_printable
from routed.cli.arguments import COMMON, VERBS, Argument
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say


def run(options: Namespace) -> Exit:
    """Print the script of ``options.shell``, or the names that a script asks for."""
    if options.offer:
        from routed.cli.offers import list_names  # no script needs it

        for name in list_names(options.offer, options):
            say(make_printable(name))
        return Exit.DONE
    if not options.shell:
        complain("name the shell: bash, zsh or fish")
        return Exit.USAGE
    say(WRITERS[options.shell]())
    return Exit.DONE


def write_bash() -> str:
    """The script for bash: ``source <(routed completion bash)``."""
    every = {argument.names: argument for argument in (*COMMON, *(a for v in VERBS.values() for a in v.arguments))}
    values = "\n".join(
        f"        {'|'.join(argument.names)}) {_bash_reply(argument)}; return ;;"
        for argument in every.values()
        if argument.is_option and argument.metavar
    )
    verbs = "\n".join(
        f'        {name}) words="{_join(_option_names(verb.arguments))}"; {_bash_positional(verb.arguments)} ;;'
        for name, verb in VERBS.items()
    )
    return f"""# bash completion of routed
_routed_offer() {{
    local name cut i given=()
    typed="${{typed//\\\\/}}" current="${{current//\\\\/}}"
    # Readline replaces only what stands behind the last of its breaks, such as a colon; an @ it takes with it.
    cut="${{typed%"$current"}}" cut="${{cut%@}}"
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{COMP_WORDS[i]}}" in
            {"|".join(PLACES)})
                [ "${{COMP_WORDS[i+1]}}" = = ] && given+=("${{COMP_WORDS[i]}}" "${{COMP_WORDS[i+2]}}") ||
                    given+=("${{COMP_WORDS[i]}}" "${{COMP_WORDS[i+1]}}") ;;
        esac
    done
    while IFS= read -r name; do
        [[ $name == "$typed"* ]] && COMPREPLY+=("$(printf %q "${{name#"$cut"}}")")
    done < <("${{COMP_WORDS[0]}}" "${{given[@]}}" completion --offer "$1" 2>/dev/null)
}}
_routed() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" verb="" word words=""
    local typed="$current" line before
    COMPREPLY=()
    if [ -n "$COMP_LINE" ]; then # its words are whole, where readline has broken them up
        line="${{COMP_LINE:0:COMP_POINT}}"
        typed="${{line##*[[:space:]]}}"
        read -r -a before <<<"${{line%"$typed"}}"
        previous="${{before[${{#before[@]}}-1]}}"
        [[ $typed == --*=* ]] && previous="${{typed%%=*}}" typed="${{typed#*=}}"
        [[ $current == [:=@] ]] && current=""
    fi
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
    [ ${{#COMPREPLY[@]}} != 0 ] && [[ $current != -* ]] && return
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
_routed_offer() {{
    local -a names
    names=("${{(@f)$(_call_program names routed completion --offer ${{@[-1]}} 2>/dev/null)}}")
    compadd "${{@[1,-2]}}" -a names
}}
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


FLAGS: Final = {"file": "-f", "directory": "-d"}  # of compgen; everything else is asked for with --offer
PLACES: Final = ("--config", "--runtime-dir", "--state-dir")  # what is written of these holds for the question, too
WRITERS: Final[dict[str, Callable[[], str]]] = {"bash": write_bash, "zsh": write_zsh, "fish": write_fish}


def _option_names(arguments: Iterable[Argument]) -> list[str]:
    return [name for argument in arguments if argument.is_option for name in argument.names]


def _bash_values(argument: Argument) -> str:
    if argument.choices:
        return f'$(compgen -W "{_join(argument.choices)}" -- "$current")'
    flag = FLAGS.get(argument.completes)
    return f'$(compgen {flag} -- "$current")' if flag else ""


def _bash_reply(argument: Argument) -> str:
    return _bash_offer(argument) or f"COMPREPLY=({_bash_values(argument)})"


def _bash_offer(argument: Argument) -> str:
    """The command that offers names of the host, if it is one of those."""
    return f"_routed_offer {argument.completes}" if argument.completes and argument.completes not in FLAGS else ""


def _bash_positional(arguments: Iterable[Argument]) -> str:
    positional = [argument for argument in arguments if not argument.is_option]
    values = [_bash_values(argument) for argument in positional]
    offers = list(dict.fromkeys(offer for argument in positional if (offer := _bash_offer(argument))))
    return "; ".join([f"COMPREPLY=({' '.join(value for value in values if value)})", *offers])


def _zsh_spec(argument: Argument) -> str:
    files = {"": "", "file": "_files", "directory": "_directories"}.get(
        argument.completes, f"_routed_offer {argument.completes}"
    )
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
    if argument.completes and argument.completes not in FLAGS:
        return f" -a {_quote(f'(routed completion --offer {argument.completes} 2>/dev/null)')}"
    return " -F" if argument.completes else ""


def _join(words: Iterable[str]) -> str:
    return " ".join(words)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
