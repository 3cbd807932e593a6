"""How long work reports itself: a bar on a terminal, plain lines elsewhere."""

import io
import re
import time

from rich.console import Console

from cli import console


def test_plain_progress_says_the_time_left_of_the_stage_it_is_in(monkeypatch):
    seconds = iter([100.0, 102.0, 120.0, 500.0, 540.0])
    monkeypatch.setattr(console.time, "monotonic", seconds.__next__)
    lines = console._PlainLines("Training")
    with console.err.capture() as captured:
        lines(11, 51, "epoch 2: loss 1.5, 30 pairs/s")  # goes on from step 10
        lines(12, 51)  # too soon for another line
        lines(16, 51, "epoch 3")  # 5 more steps took 20 s, 35 are left
        lines(1, 9, "another stage")
        lines(3, 9)
    assert captured.get().splitlines() == [
        "Training: 11/51 epoch 2: loss 1.5, 30 pairs/s",
        "Training: 16/51 epoch 3, 2 min left",
        "Training: 1/9 another stage",
        "Training: 3/9, 2 min left",
    ]


def test_what_is_said_after_an_epochs_last_step_is_always_printed(monkeypatch):
    monkeypatch.setattr(console.time, "monotonic", iter([100.0, 101.0, 101.5, 102.0]).__next__)
    lines = console._PlainLines("Training")
    with console.err.capture() as captured:
        lines(1, 4, "epoch 1 of 2: loss 1.5")
        lines(2, 4, "epoch 1 of 2: loss 1.4")
        lines(2, 4, "epoch 1: validation score 0.3")
        lines(3, 4, "epoch 2 of 2: loss 1.3")
    assert captured.get().splitlines() == [
        "Training: 1/4 epoch 1 of 2: loss 1.5",
        "Training: 2/4 epoch 1: validation score 0.3, 3 s left",
    ]


def test_the_bar_on_a_terminal_shows_message_and_time_left_in_80_columns(monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(console, "err", terminal)
    with console.progress("Training") as report:
        for step in range(1, 4):
            report(step, 3000, "align, epoch 1 of 50: loss 1.234, 512 pairs/s [x]")
            time.sleep(0.02)
    last = terminal.file.getvalue().split("\x1b[2K")[-1]
    assert "3/3000" in last
    assert re.search(r"\d:\d\d:\d\d", last)
    assert "loss 1.234, 512 pairs/s" in last


def test_a_stage_with_nothing_to_do_is_one_line():
    lines = console._PlainLines("Embedding studies")
    with console.err.capture() as captured:
        lines(0, 0, "Writing generation 000001")
    assert captured.get().splitlines() == ["Embedding studies: 0/0 Writing generation 000001"]
