"""An example of every command, shown below its help."""

from __future__ import annotations

import typer

EXAMPLES: dict[str, str] = {
    "demo": "echo2ecg demo --exit",
    "simulate": "echo2ecg simulate cohort --patients 100 --seed 7",
    "train": "echo2ecg train cohort --recipe tiny --out bundle",
    "evaluate": "echo2ecg evaluate bundle cohort --split test",
    "serve": "echo2ecg serve --bundle bundle --index index --cohort main=cohort",
    "query": "echo2ecg query ecg.hea --lvef-max 40 --one-per-patient",
    "predict": "echo2ecg predict ecgs --bundle bundle -o answers.csv",
    "doctor": "echo2ecg doctor",
    "reproduce": "echo2ecg reproduce comparison",
    "embed ecg": "echo2ecg embed ecg a.hea b.dcm --bundle bundle -o ecgs.npz",
    "embed echo": "echo2ecg embed echo study --bundle bundle -o studies.npz",
    "embed clips": "echo2ecg embed clips a.dcm b.avi --bundle bundle -o clips.npz",
    "index rebuild": "echo2ecg index rebuild --bundle bundle --cohort cohort --index index",
    "index info": "echo2ecg index info --index index",
    "index verify": "echo2ecg index verify --index index",
    "bundle import": "echo2ecg bundle import --otis otis.pth --echo2ecg echo2ecg.ckpt --out bundle",
    "bundle fit": "echo2ecg bundle fit bundle cohort --out fitted",
    "bundle show": "echo2ecg bundle show bundle",
    "bundle card": "echo2ecg bundle card bundle",
    "bundle verify": "echo2ecg bundle verify bundle --self-test",
    "cohort import": "echo2ecg cohort import ptb-xl ptb-xl-1.0.3 cohort",
    "cohort export-vectors": "echo2ecg cohort export-vectors cohort --bundle bundle --out vectors",
    "cohort check": "echo2ecg cohort check cohort --read-files",
    "keys create": "echo2ecg keys create --file keys.json --name ward --scope query --days 90",
    "keys list": "echo2ecg keys list --file keys.json",
    "keys revoke": "echo2ecg keys revoke --file keys.json 1a2b3c4d",
}


def show_examples(app: typer.Typer, before: str = "") -> None:
    """Put each example below the help of its command."""
    for group in app.registered_groups:
        if group.typer_instance is not None:
            show_examples(group.typer_instance, f"{before}{group.name} ")
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        command.epilog = f"Example: {EXAMPLES[before + name]}"
