"""Named recipes: a training run as data. A new kind of run is a new function here, not a new flag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from ground.errors import Refusal
from inputs.ecg.quality import RATE_RANGE_HZ
from inputs.specs import EcgSpec, EchoSpec
from models import architecture as sizes
from models.architecture import Architecture
from models.labels import LvefClasses
from training.data.augment import Augmentation

_Beta = Annotated[float, Field(ge=0, lt=1)]


class Stage(BaseModel):
    """What every stage of training states about its optimisation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_epochs: float = Field(ge=0)

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Stage:
        if self.warmup_epochs >= self.epochs:
            least = f"warmup_epochs is {self.warmup_epochs:g} and epochs {self.epochs}"
            raise ValueError(f"warmup_epochs must be shorter than the training ({least}); set both")
        return self


class EchoPretraining(Stage):
    """How an echo encoder is trained before it is frozen: single clips to what is known of them."""

    taught_by: Literal["clip", "study"] = "clip"
    """`clip`: what the clip itself shows, where the cohort says so (`truth_views.csv`). `study`: the phenotypes of its
    study, as in every cohort that does not say so."""
    patience: int = Field(ge=1)
    """Epochs without a better validation loss after which it stops."""
    shift_pixels: int = Field(ge=0)
    """A training clip is moved by up to this many pixels each way."""
    gain_sd: float = Field(ge=0)
    """Standard deviation of the logarithm of the brightness factor of a training clip."""


class MaskedEcgPretraining(Stage):
    """How an ECG encoder is trained before the alignment: hide most patches of an ECG and reconstruct them."""

    kind: Literal["masked"] = "masked"
    lr_floor: float = Field(default=0.02, ge=0, le=1)
    """Share of the peak rate at the very start and at the end."""
    patience: int = Field(ge=1)
    """Epochs without a better validation loss after which it stops."""
    hidden_share: float = Field(default=0.75, gt=0, lt=1)
    """Share of the patches of a window, over all leads, that the encoder does not see."""
    correlation_weight: float = Field(default=0.1, ge=0, le=1)
    """Weight of (1 - normalised cross-correlation); the squared error has the rest."""
    decoder_dim: int = Field(default=64, ge=4)
    decoder_depth: int = Field(default=2, ge=1)
    decoder_heads: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> MaskedEcgPretraining:
        if self.decoder_dim % self.decoder_heads or self.decoder_dim % 2:
            raise ValueError("decoder_dim must be even and a multiple of decoder_heads")
        return self


class OwnBeatPretraining(Stage):
    """Another way: from a window, tell the principal components of the record's own median beat, and its rhythm."""

    kind: Literal["own_beat"] = "own_beat"
    lr_floor: float = Field(default=0.02, ge=0, le=1)
    """Share of the peak rate at the very start and at the end."""
    patience: int = Field(ge=1)
    """Epochs without a better validation score after which it stops."""
    components: int = Field(default=60, ge=1)
    """Of the train ECGs' median beats."""


def _kind(pretraining: object) -> str:
    """`masked` where nothing is said: recipes from before there was a choice."""
    kind = (
        pretraining.get("kind", "masked") if isinstance(pretraining, dict) else getattr(pretraining, "kind", "masked")
    )
    return str(kind)


EcgPretraining = Annotated[
    Annotated[MaskedEcgPretraining, Tag("masked")] | Annotated[OwnBeatPretraining, Tag("own_beat")],
    Discriminator(_kind),
]
ECG_PRETRAININGS = ("masked", "own_beat")


class Alignment(Stage):
    """How both towers are trained together: pairs of an ECG and a study, one contrastive loss."""

    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    """Peak rate outside the ECG encoder and of its last block."""
    echo_tower_rate: float = Field(default=1.0, gt=0)
    """Share of `learning_rate` at which the echo tower learns."""
    betas: tuple[_Beta, _Beta] = (0.9, 0.999)
    layer_decay: float = Field(gt=0, le=1)
    """Each ECG encoder block learns this much slower than the one after it."""
    lr_floor: float = Field(default=0.1, ge=0, le=1)
    """Share of the peak rate at the very start and at the end."""
    temperature: float = Field(gt=0)
    ecg_to_echo_weight: float = Field(default=0.5, ge=0, le=1)
    augmentation: Augmentation = Augmentation()
    patch_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of a window's patches that the ECG encoder does not read in training (FLIP, arXiv 2212.00794)."""
    weight_averaging: float = Field(default=0.0, ge=0, lt=1)
    """What a step leaves of the running mean of the weights, which is scored and kept. 0: the weights themselves."""
    patience: int = Field(ge=1)
    """Epochs without a better validation score after which training stops."""
    bf16: bool = False
    """Towers in bfloat16 autocast; the loss and the weights stay in float32."""
    compile: bool = False
    """The ECG tower through torch.compile, which wants a C++ compiler."""
    chunk_size: int | None = Field(default=None, ge=1)
    """Pairs embedded at once, for small memories; the loss still sees the whole batch. None: as many as there are."""


class Recipe(BaseModel):
    """Everything that decides a training run but the cohort and the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    architecture: Architecture
    ecg: EcgSpec
    echo: EchoSpec
    lvef_classes: LvefClasses = LvefClasses()
    window_days: float = Field(default=7.0, ge=0, le=36_500)
    """An ECG and a study of one patient belong together when they are at most this far apart."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)

    echo_pretraining: EchoPretraining | None
    """None: the echo encoder comes from the bundle that training starts from, or the cohort gives view vectors."""
    ecg_pretraining: EcgPretraining | None = None
    """None: the ECG encoder starts from a bundle's, where one is named, or from random weights."""
    alignment: Alignment | None
    """None: the run ends after ECG pre-training, and its bundle has an ECG encoder alone."""
    changes: dict[str, JsonValue] = Field(default_factory=dict)
    """What somebody set otherwise than the named recipe has it, by dotted name: see `training.changed_recipe`."""

    @property
    def base(self) -> str:
        """The named recipe that this one is, or was changed from."""
        return self.name.removesuffix("+changes")

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.alignment is None and (self.echo_pretraining is not None or self.ecg_pretraining is None):
            raise ValueError("a recipe without an alignment pre-trains an ECG encoder, and no echo encoder")
        if self.echo_pretraining and self.echo.padding != "black_frames":
            raise ValueError("an echo encoder is pre-trained on clips padded with black frames only")
        if self.echo_pretraining and self.echo_pretraining.shift_pixels >= self.echo.size:
            raise ValueError(f"echo_pretraining.shift_pixels must be less than the {self.echo.size} of echo.size")
        low_hz, high_hz = RATE_RANGE_HZ
        if not low_hz <= self.ecg.rate_hz <= high_hz:
            raise ValueError(f"ecg.rate_hz must lie between {low_hz:g} and {high_hz:g}")
        self.architecture.check_prepared(self.ecg, self.echo)
        return self

    @property
    def aligning(self) -> Alignment:
        """The alignment. Refusal for a recipe that has none."""
        if self.alignment is None:
            raise Refusal("nothing_aligned", f"the recipe {self.name} aligns nothing")
        return self.alignment

    def aligned_with(self, **settings: Any) -> Recipe:
        """The same recipe with some settings of its alignment replaced, checked as a new one's are.

        Refusal for settings of a recipe that has no alignment.
        """
        if not settings:
            return self
        alignment = Alignment.model_validate(self.aligning.model_dump() | settings)
        return self.model_copy(update={"alignment": alignment})

    def echo_taught_by(self, taught_by: Literal["clip", "study"] | None) -> Recipe:
        """The same recipe with another teacher of its echo encoder; None: as it is."""
        if taught_by is None or self.echo_pretraining is None:
            return self
        taught = self.echo_pretraining.model_copy(update={"taught_by": taught_by})
        return self.model_copy(update={"echo_pretraining": taught})


def paper() -> Recipe:
    """The published recipe (arXiv 2603.08505): 50 epochs of 256 pairs, layer-wise rates, frozen EchoPrime vectors.

    Two things differ by intent: no patient appears twice in a batch, and the best epoch on validation retrieval is
    kept. `patience` is the whole run, so nothing stops early.
    """
    return Recipe(
        name="paper",
        architecture=sizes.paper(),
        ecg=EcgSpec(),
        echo=EchoSpec(),
        echo_pretraining=None,
        alignment=Alignment(
            epochs=50,
            batch_size=256,
            learning_rate=5e-4,
            weight_decay=1e-7,
            layer_decay=0.75,
            warmup_epochs=2,
            temperature=0.5,
            patience=50,
        ),
    )


def demo() -> Recipe:
    """Small towers for two CPU cores; the echo encoder is trained first, on the training patients' own clips."""
    architecture = sizes.demo()
    return Recipe(
        name="demo",
        architecture=architecture,
        ecg=EcgSpec(windows="mean", centre="median"),
        echo=EchoSpec(size=architecture.echo.size, mask_outside_sector=True),
        echo_pretraining=EchoPretraining(
            epochs=4,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.01,
            warmup_epochs=0.5,
            patience=2,
            shift_pixels=4,
            gain_sd=0.15,
        ),
        alignment=Alignment(
            # Milder than published: with some thousand ECGs, learning that a tracing upside down, backwards or out of
            # phase is the same heart costs more than it regularises. Hidden patches regularise instead, and halve the
            # work.
            augmentation=Augmentation(
                fourier_probability=0.0, rescale_sd=0.1, time_flip_probability=0.0, sign_flip_probability=0.0
            ),
            patch_dropout=0.5,
            weight_averaging=0.99,
            epochs=24,
            batch_size=64,
            learning_rate=2e-3,
            # The published rate for the echo tower: at the rate that an ECG encoder needs to start from random weights,
            # its chain of linear maps ends in two directions, where a few studies are near every ECG.
            echo_tower_rate=0.25,
            weight_decay=0.05,
            layer_decay=0.9,
            warmup_epochs=2,
            temperature=0.5,
            patience=24,
            bf16=True,
        ),
    )


def masked_ecg() -> Recipe:
    """The demo recipe whose ECG encoder first learns to fill in hidden patches of the train patients' ECGs."""
    return demo().model_copy(
        update={
            "name": "masked_ecg",
            "ecg_pretraining": MaskedEcgPretraining(
                epochs=60, batch_size=64, learning_rate=1e-3, weight_decay=0.05, warmup_epochs=4, patience=15
            ),
        }
    )


def tiny() -> Recipe:
    """To see a whole run in a minute: 60 simulated patients on two CPU cores. What it learns is next to nothing."""
    architecture = sizes.tiny()
    recipe = demo()
    assert recipe.echo_pretraining is not None
    return recipe.aligned_with(epochs=4, batch_size=16, warmup_epochs=1, patience=4, bf16=False).model_copy(
        update={
            "name": "tiny",
            "architecture": architecture,
            "echo": EchoSpec(frames=architecture.echo.frames, size=architecture.echo.size, mask_outside_sector=True),
            "echo_pretraining": recipe.echo_pretraining.model_copy(update={"epochs": 2, "shift_pixels": 2}),
        }
    )


def ecg_only() -> Recipe:
    """The ECG pre-training of `masked_ecg` and nothing after it: for cohorts without echo studies."""
    return masked_ecg().model_copy(update={"name": "ecg_only", "echo_pretraining": None, "alignment": None})


def own_beat() -> Recipe:
    """Beats instead of hidden patches, and nothing after it: an ECG encoder to start an alignment from.

    Of some thousand ECGs without an echo, a few passes are enough: every one of them is a different heart.
    """
    pretraining = OwnBeatPretraining(
        epochs=8, batch_size=64, learning_rate=1e-3, weight_decay=0.05, warmup_epochs=1, patience=8
    )
    return ecg_only().model_copy(update={"name": "own_beat", "ecg_pretraining": pretraining})


def vectors() -> Recipe:
    """The alignment of `demo` on view vectors that the cohort gives; its projection is as wide as they are."""
    return demo().model_copy(update={"name": "vectors", "echo_pretraining": None})


RECIPES: dict[str, Callable[[], Recipe]] = {
    recipe.__name__: recipe for recipe in (paper, demo, masked_ecg, tiny, ecg_only, own_beat, vectors)
}


def named_recipe(name: str) -> Recipe:
    """The recipe of that name; a Refusal names the ones there are."""
    if name not in RECIPES:
        raise Refusal("recipe_unknown", f"there is no recipe {name!r}; the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]()
