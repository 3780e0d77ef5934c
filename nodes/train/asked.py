"""What a training is asked to do: everything from the node's inputs, before anything is decided.

What follows from the inputs alone, such as the spec and the request, is computed once, when it is
first needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from hypernet.dataset.items import Dataset
from hypernet.families import misfit
from hypernet.formats.optim_file import file_hash
from hypernet.network.hypernetwork import Hypernetwork
from hypernet.network.spec import HypernetSpec
from hypernet.runs.fingerprints import changes_hash, model_hash
from hypernet.runs.request import Request, make_request
from hypernet.runs.run import Keeping
from hypernet.training.advice import model_warnings, settings_warnings
from hypernet.training.auto import AutoSettings, Choice, chosen_start, records_start, settle
from hypernet.training.given_latents import Given
from hypernet.training.optimizers import missing_package
from hypernet.training.parallel import present
from hypernet.training.presets import OPEN_BATCH
from hypernet.training.settings import TrainSettings

from ... import compat
from ...compat import Clip, Model, Vae
from ..shared.cache import cache_folder
from ..shared.sockets import Config
from .beginning import open_single
from .hypernet_config import chosen_spec
from .material import (
    EncodedPrompt,
    both_hashes,
    pictures_hash,
    prompts_to_preserve,
    read_given,
)
from .names.naming import Wish
from .previews.drawing import Previewer, Row
from .previews.settings import PreviewPrompt, PreviewSettings

NAME = "[name]"  # in a template


def check_one_source(dataset: Dataset | None, latents: list, conditioning: list) -> None:
    """Raises ValueError unless there is either a dataset or latents with conditioning."""
    given = {"dataset": dataset is not None, "latents": latents, "conditioning": conditioning}
    connected = [key for key, value in given.items() if value]
    if connected not in (["dataset"], ["latents", "conditioning"]):
        raise ValueError(
            "A network learns from a dataset, or from latents with conditioning; connected: "
            f"{', '.join(connected) or 'none of them'}. Connect one of the two."
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    model: Model
    clip: Clip
    vae: Vae
    dataset: Dataset | None  # None if latents and conditioning are given
    latents: list
    conditioning: list
    config: Config
    wanted: AutoSettings
    keeping: Keeping
    preview: PreviewSettings
    name: str  # with folders, "/" between them
    resume: bool
    if_taken: str  # which of naming.CHOICES
    encoders: str  # where VAE and text encoder are while training, see encoders.py
    earlier: Path | None  # the file of the network to begin with
    node: str  # the node's id in the graph
    graph: Mapping[str, object] = field(default_factory=dict)  # is written into previews
    regularization: Dataset | None = None  # other pictures, learnt beside these

    def check(self) -> list[str]:
        """Check all that does not depend on the name. Returns warnings; raises ValueError."""
        if lacking := missing_package(self.wanted.optimizer):
            raise ValueError(lacking)
        _ = self.spec, self.given, compat.denoiser  # each raises if it is not available
        if self.settings.preserve:
            prompts_to_preserve(self.dataset, self.word, self.settings)
        said = [*self.choice.reasons, *settings_warnings(self.settings, self.spec)]
        said += model_warnings(compat.model_name(self.model))
        if self.before and (related := misfit(self.before.record.architecture, self.architecture)):
            said.append(related)
        said += self.regularization_notes()
        if self.preview.taken_out:
            said.append(
                f"Taken out of the prompts of previews: {' '.join(self.preview.taken_out)}. "
                "Previews show the network that is being trained, and no other."
            )
        return said

    def regularization_notes(self) -> list[str]:
        """A sentence if the regularization pictures have another size than the others."""
        if self.regularization is None or self.dataset is None:
            return []
        sizes = [f"{each.width}×{each.height}" for each in (self.regularization, self.dataset)]
        if sizes[0] == sizes[1]:
            return []
        return [
            f"Regularization pictures are trained at {sizes[0]} and the others at {sizes[1]}. If "
            "this is not meant, give both Load Dataset nodes the same width and height."
        ]

    @property
    def word(self) -> str:
        """What [name] stands for: the name without folders, and without a run's number.

        So a run that trains a network further sees the same prompts.
        """
        return Path(self.name).name

    @cached_property
    def spec(self) -> HypernetSpec:
        before = self.before and self.before.spec
        return chosen_spec(self.config, self.model, self.wanted.preset, before)

    @property
    def architecture(self) -> str:
        """What files say of the model: "" for UNets."""
        return compat.architecture(self.model) if self.spec.places else ""

    @cached_property
    def choice(self) -> Choice:
        """The settings without anything open, and why each was chosen.

        If several processes train together, a chosen batch is multiplied by their number.
        """
        wanted, kind = self.wanted, compat.prediction(self.model)
        is_open = wanted.batch_size == OPEN_BATCH
        if is_open and self.given is not None:  # they may differ in size
            wanted = replace(wanted, batch_size=1)
        found = settle(wanted, self.spec, self.latent, kind)
        if not is_open or present().count == 1:
            return found
        size = found.settings.batch_size * present().count
        return replace(found, settings=replace(found.settings, batch_size=size))

    @property
    def settings(self) -> TrainSettings:
        return self.choice.settings

    @property
    def latent(self) -> tuple[int, int]:
        """Rows and columns of the latents; pictures in buckets have about as many."""
        if self.dataset is not None:
            pixels = compat.pixels_per_latent(self.model)
            return self.dataset.height // pixels, self.dataset.width // pixels
        assert self.given is not None  # there is a dataset, or these
        rows, columns = self.given.latents[0].shape[-2:]
        return rows, columns

    @property
    def start(self) -> float:
        """The share of sampling before which the network should not act."""
        if not records_start(self.wanted):
            return 0.0
        sampling = self.model.get_model_object("model_sampling")
        return chosen_start(sampling.percent_to_sigma, self.latent)

    @cached_property
    def before(self) -> Hypernetwork | None:
        """The network to begin with."""
        return None if self.earlier is None else open_single(self.earlier)

    @cached_property
    def given(self) -> Given | None:
        """The latents and conditioning; None if there is a dataset."""
        if self.dataset is not None:
            return None
        return read_given(
            self.latents, self.conditioning, self.model,
            seed=self.wanted.seed, batch_size=self.wanted.batch_size,
        )  # fmt: skip

    @cached_property
    def request(self) -> Request:
        """The request, without the fingerprint of the pictures, which takes time."""
        read = [each for each in (self.dataset, self.regularization) if each]
        templates = [line for each in read for line in each.words.templates]
        return make_request(
            self.settings,
            self.spec,
            model=model_hash(compat.model_file(self.model), cache_folder() / "models.json"),
            changes=changes_hash(list(map(compat.changes_of, (self.model, self.clip, self.vae)))),
            name=self.word if any(NAME in each for each in templates) else None,
            begins_with=self.earlier and file_hash(self.earlier),
        )

    @cached_property
    def pictures(self) -> str:
        found = pictures_hash(self.dataset, self.given)
        if self.regularization is None:
            return found
        return both_hashes(found, pictures_hash(self.regularization, None))

    @property
    def wish(self) -> Wish:
        return Wish(
            name=self.name, request=self.request, resume=self.resume, if_taken=self.if_taken
        )

    def places(self, steps: list[int]) -> list[int]:
        """The number of the first sample of each of these steps."""
        samples = self.settings.batch_size * self.settings.accumulation
        return [(step - 1) * samples for step in steps]

    def previewer(
        self, words: Mapping[int, EncodedPrompt], size: tuple[int, int], steps: list[int]
    ) -> Previewer:
        """A Previewer for these steps. Uses CLIP, which is not needed afterwards.

        words: the prompts of the samples that previews may show, by sample number.
        """
        encode = cache(lambda text: compat.conditioning(self.clip, text))
        captions = [words[place] for place in self.places(steps)]

        def row(asked: PreviewPrompt) -> Row:
            shown = replace(
                asked,
                seed=self.settings.seed if asked.seed < 0 else asked.seed,
                width=asked.width or size[0],
                height=asked.height or size[1],
            )
            chosen = asked.prompt and [EncodedPrompt(asked.prompt, encode(asked.prompt))]
            return Row(shown=shown, words=chosen or captions, negative=encode(asked.negative))

        return Previewer(
            settings=self.preview,
            model=self.model,
            vae=self.vae,
            encoders=self.encoders,
            steps=steps,
            rows=[row(asked) for asked in self.preview.rows],
            model_hash=f"{self.request.model} {self.request.changes}",
            graph=self.graph,
        )
