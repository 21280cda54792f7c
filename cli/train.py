"""`sideline train`: a classifier on photographs, or the booth's networks."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from schemas.faults import Fatal

TRAINING_PYTHON: Final = Path(".venv-training/bin/python")
_AGAIN: Final = "SIDELINE_TRAINING_PYTHON"  # set once handed over, so that it happens once
_EXAMPLES: Final = """Examples:

  sideline train classifier --data photos/ --backbone mobilenet.onnx --out models/

  sideline train classifier --data photos/ --backbone resnet50.onnx --normalise imagenet --out models/ --seed 3

  sideline train classifier --data photos/ --backbone mobilenet.onnx --fine-tune --steps 600 --out models/

  sideline train classifier --out models/       the booth's network; needs torch
"""
STEPS: Final = 1500
_Steps = Annotated[
    int, typer.Option(min=1, help="Of learning a network or, of 16 views, with --fine-tune; else without meaning.")
]
_Seed = Annotated[int, typer.Option(help="Of folds, pictures, first weights and batches.")]


def register(app: typer.Typer) -> None:
    """Add the command and its parts."""
    train = typer.Typer(no_args_is_help=True)
    train.command(epilog=_EXAMPLES)(classifier)
    train.command()(embedding)
    train.command()(fusion)
    app.add_typer(train, name="train", help="Train a classifier, an embedding or the fusion.", epilog=_EXAMPLES)


def classifier(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Becomes a model repository that Triton serves.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Any data set that `sideline dataset` knows; without --backbone the booth's."),
    ] = None,
    backbone: Annotated[
        Path | None,
        typer.Option(metavar="FILE.onnx", help="A pretrained image backbone, kept as it is without --fine-tune."),
    ] = None,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune",
            help="Let the backbone go on learning, from six in ten products, before the head is fitted on the others. "
            "Needs many photographs, and torch: make training.",
        ),
    ] = False,
    normalise: Annotated[
        str | None,
        typer.Option(
            help="What the backbone's pixels are: symmetric (-1..1), unit (0..1), imagenet (mean, deviation) or raw. "
            "Default: raw where the file begins by normalising, symmetric where it is TensorFlow's (channels last, "
            "1001 classes), else imagenet; what was taken is printed."
        ),
    ] = None,
    mirror: Annotated[
        bool, typer.Option(help="Average the features of each picture and its mirror image; takes twice the time.")
    ] = True,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Of five folds, to measure in.")] = 10,
    seed: _Seed = 0,
    steps: _Steps = STEPS,
) -> None:
    """Train the classifier of damage.

    With --backbone: a linear head on the features of a pretrained network, for small sets of real photographs; it needs
    no torch and a minute, unless the backbone is to be tuned. Its figures come from ten rounds of five folds in which
    everything that is chosen is chosen again. DIR gets a served model, card.json and three charts; features are kept in
    DIR.features and a tuned backbone in DIR.tuned, so that an interrupted run goes on and a repeated one is quick.
    Depth is not used: such backbones know none.

    The score is the log-odds of damage at the share of damage in the data; a line's is far lower. Kinds and severity
    are learnt where at least ten views have and ten lack them, else they are the base rate.

    Without --backbone: the line's own small network, learnt from nothing, from --data or the booth (needs torch: make
    training). What was learnt is kept once a minute, so that an interrupted run goes on where it was.

    Pictures that cannot be read are named on standard error and left out.
    """
    if backbone is None:
        _networks("classifier", data=data, out=out, seed=seed, steps=steps)
        return
    if data is None:
        raise Fatal("--backbone needs photographs to learn from: add --data DIR")
    if fine_tune:
        _where_torch_is()
    tuning = steps if fine_tune else None
    _photographs(data, backbone, out, normalise=normalise, mirror=mirror, rounds=rounds, seed=seed, tuning=tuning)


def embedding(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Becomes a model repository that Triton serves.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="A data set; default: the booth's.")] = None,
    seed: _Seed = 0,
    steps: _Steps = STEPS,
) -> None:
    """Train the embedding that the gallery compares (needs torch: make training).

    It learns from products with at least two reference views and four views of captures each. What was learnt is kept
    once a minute, so that an interrupted run goes on where it was.
    """
    _networks("embedding", data=data, out=out, seed=seed, steps=steps)


def fusion(
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Model repository whose fusion.json is fitted anew; default: the line's own."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A data set with references, truth and products; default: the booth's."),
    ] = None,
    seed: _Seed = 0,
) -> None:
    """Fit how the evidence of both models becomes one score: one calibration for each pattern of what is at hand.

    Fitted on captures that no model learnt from. Workers take it at their next start; decisions name its version.
    """
    from cli.here import model_repository
    from training.refit import refit

    for name, value in refit(models or model_repository(), data=data, seed=seed).items():
        print(f"{name.replace('_', ' ')}: {value:.3f}")


def _networks(head: str, *, data: Path | None, out: Path, seed: int, steps: int) -> None:
    """Train a network."""
    _where_torch_is()
    for name, value in (
        importlib.import_module("training.lab").train(head, data=data, out=out, seed=seed, steps=steps).items()
    ):
        print(f"{name.replace('_', ' ')}: {value:.3f}")
    print(f"wrote {out}")


def _where_torch_is() -> None:
    """Go on where torch is: here, or with the same command line in the training environment's Python."""
    if importlib.util.find_spec("torch") is None:
        if TRAINING_PYTHON.exists() and _AGAIN not in os.environ:
            python = str(TRAINING_PYTHON)
            os.execve(  # noqa: S606 - our own command line, in the other environment
                python, [python, "-m", "cli.main", *sys.argv[1:]], {**os.environ, _AGAIN: "1"}
            )
        raise Fatal("learning a network needs torch: make training")


def _photographs(
    data: Path,
    backbone: Path,
    out: Path,
    *,
    normalise: str | None,
    mirror: bool,
    rounds: int,
    seed: int,
    tuning: int | None,
) -> None:
    """Train on features, with progress on standard error and figures on standard output."""
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("sklearn") is None:
        raise Fatal("needs the laboratory's libraries (onnx, scikit-learn): make install")
    from cli.meter import Meter
    from cli.screen import Screen
    from training.data.read import open_data_set
    from training.photographs.anatomy import Normalise
    from training.photographs.classifier import CARD, Wish, train

    if normalise is not None and normalise not in set(Normalise):
        raise Fatal(f"--normalise {normalise}: choose one of {', '.join(Normalise)}")
    if not backbone.is_file():
        raise Fatal(f"there is no backbone {backbone}: name an ONNX file")
    console = Screen(stderr=True, highlight=False, soft_wrap=True)
    tune = None
    if tuning is not None:
        learn = importlib.import_module("training.tune").tune
        tune = functools.partial(learn, folder=Path(f"{out}.tuned"), steps=tuning, seed=seed)
    options = f"{'' if tuning is None else f' --fine-tune --steps {tuning}'}{'' if mirror else ' --no-mirror'}"
    wish = Wish(
        backbone=backbone,
        out=out,
        seed=seed,
        normalise=None if normalise is None else Normalise(normalise),
        flip=mirror,
        rounds=rounds,
        made_by=f"sideline train classifier --backbone {backbone.name} --seed {seed}{options}",
        tune=tune,
    )
    photographs = open_data_set(data)
    for note in photographs.notes:
        console.print(f"data: {note}", markup=False)
    with Meter(console) as meter:
        card = train(photographs, wish, say=lambda words: console.print(words, markup=False), tell=meter.say)
    if card.tuned_on:
        print(f"the backbone learnt from {card.tuned_on} other captures")
    print(f"captures {card.captures}, damaged {card.damaged}, views {card.views}, left out {len(card.left_out)}")
    for name, value in card.figures.items():
        print(f"{name.replace('_', ' ')}: {value:.3f}")
    print(f"CPU milliseconds a view: {card.view_ms:.1f}")
    print(f"learnt: {', '.join(card.learnt)}; the other answers are base rates")
    print(
        f"wrote {out}: damage_classifier (largest difference to its parts {card.onnx_difference:.1e}), {CARD}, charts"
    )
