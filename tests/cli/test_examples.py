"""Every command shows how it is used."""

from __future__ import annotations

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli.console import progress
from cli.examples import EXAMPLES
from cli.main import app


def commands(group=None, before=()):
    for name, one in (group or get_command(app)).commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, (*before, name))
        else:
            yield " ".join((*before, name)), one


def test_every_command_has_an_example_that_calls_it_and_every_option_a_help_text():
    found = dict(commands())
    assert found.keys() == EXAMPLES.keys()
    for name, one in found.items():
        assert one.epilog == f"Example: {EXAMPLES[name]}"
        assert EXAMPLES[name].startswith(f"echo2ecg {name}")
        said = {option.name: getattr(option, "help", None) for option in one.params}
        assert not [
            option.name for option in one.params if option.param_type_name == "option" and not said[option.name]
        ]


def test_every_example_has_only_options_that_its_command_knows():
    for name, one in commands():
        known = {flag for option in one.params for flag in (*option.opts, *option.secondary_opts)}
        used = {word for word in EXAMPLES[name].split() if word.startswith("-")}
        assert used <= known, name


def test_the_help_shows_the_example():
    assert "echo2ecg index info --index index" in CliRunner().invoke(app, ["index", "info", "--help"]).output


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_interrupt_says_whether_the_same_command_goes_on(capsys, goes_on):
    with pytest.raises(KeyboardInterrupt), progress("Work", goes_on=goes_on):
        raise KeyboardInterrupt
    assert ("The same command goes on from here." in capsys.readouterr().err) is goes_on
