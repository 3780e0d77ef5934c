"""The encoded training material: from a dataset, or from LATENT and CONDITIONING.

Both give batches by their first sample's number, and the prompts of samples for previews.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

from torch import Tensor

from hypernet.captions.prompts import prompt_of
from hypernet.dataset.content_keys import Contents
from hypernet.dataset.items import Dataset
from hypernet.encoding.encode import (
    EncodedPictures,
    EncodedPrompts,
    encode_dataset,
    encode_masks,
    encode_prompts,
    text_key,
    vae_key,
)
from hypernet.encoding.shards import Shards, forget_old
from hypernet.network.spec import listed
from hypernet.pictures.latent_size import size_in_pixels
from hypernet.runs.fingerprints import dataset_hash, tensors_hash
from hypernet.training.batches import (
    Examples,
    all_prompts,
    items_at,
    prompts_at,
    prompts_of_run,
    stack,
)
from hypernet.training.diffusion import Batch
from hypernet.training.given_latents import Given
from hypernet.training.held_out import hold_out
from hypernet.training.prefetch import Prefetched
from hypernet.training.preservation import preserved_prompts, regularization_samples
from hypernet.training.probe import Probe
from hypernet.training.settings import TrainSettings
from hypernet.training.train import Others

from ... import compat
from ...compat import Clip, Conditioning, Model, Vae
from ..shared.cache import cache_folder
from ..shared.progress import watch

log = logging.getLogger(__name__)

EMBEDDING = "embedding:"  # such a prompt reads a file that may change, so it is not kept


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt with its CONDITIONING; the text is "" if only the CONDITIONING is known."""

    text: str
    conditioning: Conditioning


@dataclass(frozen=True, kw_only=True)
class Material:
    batch_at: Callable[[int, int], Batch]
    probe: Probe | None
    pictures: int  # how many a pass shows
    size: tuple[int, int]  # width and height of a preview
    words: Mapping[int, EncodedPrompt]  # the prompts that previews may show, by sample number
    about: dict  # a description for the manifest
    hash: str  # the fingerprint of all that is learnt from
    others: Others = None  # prompts of other things, for settings.preserve
    regularization: Callable[[int, int], Batch] | None = None  # batches of other pictures


def from_dataset(
    dataset: Dataset,
    model: Model,
    clip: Clip,
    vae: Vae,
    *,
    name: str,
    settings: TrainSettings,
    previewed: list[int],
) -> Material:
    """Encode pictures and prompts, unless the cache has them.

    previewed: the numbers of the samples whose prompts previews may show.
    """
    forget_old(cache_folder())
    contents = Contents(dataset.folder, cache_folder() / "contents")
    examples = encode_examples(
        dataset, contents, model, clip, vae, name=name, settings=settings,
        held_out=settings.held_out, prompts_of=lambda found: prompts_of_run(found, name, settings),
    )  # fmt: skip
    dataset, batch_size = examples.dataset, settings.batch_size
    return Material(
        batch_at=prefetched(examples),
        probe=examples.probe(batch_size) if settings.probe_every else None,
        pictures=len(dataset.shown),
        size=(dataset.width, dataset.height),
        words=words_in(dataset, clip, name, settings, previewed),
        about=asdict(dataset),
        hash=dataset_hash(dataset, contents),
        others=encode_others(dataset, name, model, clip, settings),
    )


def with_regularization(
    material: Material,
    dataset: Dataset | None,
    model: Model,
    clip: Clip,
    vae: Vae,
    *,
    name: str,
    settings: TrainSettings,
) -> Material:
    """The material with these regularization pictures; unchanged if there are none."""
    if dataset is None:
        return material
    contents = Contents(dataset.folder, cache_folder() / "contents")

    def prompts_of(found: Dataset) -> list[str]:
        samples, size = regularization_samples(settings), settings.batch_size
        return all_prompts(found, name, settings.seed, samples, size, probes=False)

    examples = encode_examples(
        dataset, contents, model, clip, vae, name=name, settings=settings, held_out=0,
        prompts_of=prompts_of,
    )  # fmt: skip
    return replace(
        material,
        regularization=prefetched(examples),
        hash=both_hashes(material.hash, dataset_hash(examples.dataset, contents)),
    )


def both_hashes(pictures: str, regularization: str) -> str:
    return f"{pictures}+{regularization}"


def encode_examples(
    dataset: Dataset,
    contents: Contents,
    model: Model,
    clip: Clip,
    vae: Vae,
    *,
    name: str,
    settings: TrainSettings,
    held_out: int,
    prompts_of: Callable[[Dataset], list[str]],
) -> Examples:
    """prompts_of: the prompts that are needed of the pictures that can be read."""
    dataset, latents = encode_latents(dataset, model, vae, contents)
    weights = encode_masks(dataset, latents, contents, watch())
    dataset = hold_out(dataset, held_out, settings.seed)
    conditions = encode_texts_once(prompts_of(dataset), clip, model)
    say_what_stays_in_memory(pictures=latents, prompts=conditions)
    return Examples(
        dataset=dataset,
        name=name,
        seed=settings.seed,
        latents=latents,
        conditions=conditions,
        weights=weights,
        sampling=settings.latent_sampling,
    )


def prefetched(examples: Examples) -> Prefetched:
    return Prefetched(examples.batch_at, pin=compat.torch_device().type == "cuda")


def encode_latents(
    dataset: Dataset, model: Model, vae: Vae, contents: Contents
) -> tuple[Dataset, EncodedPictures]:
    """(the dataset without pictures that cannot be decoded, the latents)."""

    def encode(pixels: Tensor) -> tuple[Tensor, Tensor]:
        return compat.encode_pictures(vae, pixels, model)

    skipped = len(dataset.unreadable)
    shards = Shards(cache_folder() / "pictures" / vae_key(encode))
    dataset, latents = encode_dataset(dataset, encode, shards, contents, watch())
    for picture, reason in dataset.unreadable[skipped:]:
        log.warning('Skipped "%s": %s', picture, reason)
    return dataset, latents


def encode_texts_once(prompts: list[str], clip: Clip, model: Model) -> EncodedPrompts:
    """Each prompt is encoded once, for all runs that use the same text encoder."""

    def encode(texts: list[str]) -> list[dict[str, Tensor]]:
        return compat.encode_texts(clip, texts, model)

    return encode_prompts(
        prompts,
        encode,
        Shards(cache_folder() / "prompts" / text_key(encode)),
        watch(),
        lasting=lambda text: EMBEDDING not in text,
    )


def encode_others(
    dataset: Dataset | None, name: str, model: Model, clip: Clip, settings: TrainSettings
) -> Others:
    """Prompts of other things, which shall look as without the network; None if that is off."""
    if not settings.preserve:
        return None
    prompts = prompts_to_preserve(dataset, name, settings)
    found = encode_texts_once(prompts, clip, model)
    return stack([found[prompt] for prompt in prompts])


def prompts_to_preserve(dataset: Dataset | None, name: str, settings: TrainSettings) -> list[str]:
    """Raises ValueError if the user's own name what shall be learnt."""
    captions = [item.caption for item in dataset.items] if dataset else []
    templates = dataset.words.templates if dataset else ()
    prompts = (prompt_of(each, text, name) for each in templates for text in captions)
    return preserved_prompts(settings.preserve_prompts, captions, prompts)


def say_what_stays_in_memory(**encoded: EncodedPictures | EncodedPrompts) -> None:
    for what, kept in encoded.items():
        if kept.shards.in_memory:
            log.warning(
                "There is no room in %s for %d encoded %s; they stay in memory until the run ends.",
                kept.shards.folder, kept.shards.in_memory, what,
            )  # fmt: skip


def shown_words(
    dataset: Dataset, clip: Clip, name: str, settings: TrainSettings, places: list[int]
) -> dict[int, EncodedPrompt]:
    """The prompts of these samples, by sample number, without encoding pictures."""
    dataset = hold_out(dataset, settings.held_out, settings.seed)
    return words_in(dataset, clip, name, settings, places)


def words_in(
    dataset: Dataset, clip: Clip, name: str, settings: TrainSettings, places: list[int]
) -> dict[int, EncodedPrompt]:
    """The prompts of these samples, by number. The dataset must know its held-out pictures."""
    texts, seed = {}, settings.seed
    for place in places:
        item = items_at(dataset, seed, place, settings.batch_size)[0]
        (texts[place],) = prompts_at(dataset, name, seed, [place], [item])
    known = {
        text: EncodedPrompt(text, compat.conditioning(clip, text)) for text in set(texts.values())
    }
    return {place: known[text] for place, text in texts.items()}


def read_given(
    latents: list, conditioning: list, model: Model, *, seed: int, batch_size: int
) -> Given:
    """Read lists of LATENT and CONDITIONING. Raises ValueError if they do not fit together."""
    pictures = [
        picture for latent in latents for picture in compat.scale_latents(model, latent["samples"])
    ]
    entries = [entry for each in conditioning for entry in compat.read_conditioning(each, model)]
    found = Given(latents=pictures, conditions=entries, seed=seed, batch_size=batch_size)
    known = compat.attention_widths(model).get("attn2", ())  # transformers project the text first
    strange = {entry["context"].shape[-1] for entry in entries} - set(known)
    if known and strange:
        raise ValueError(
            f"conditioning of width {listed(sorted(strange))} is of another text encoder; this "
            f"model reads {listed(known)}. Encode with the CLIP of the same checkpoint."
        )
    return found


def from_given(
    given: Given,
    conditioning: list,
    model: Model,
    clip: Clip,
    settings: TrainSettings,
    previewed: list[int],
) -> Material:
    return Material(
        batch_at=given.batch_at,
        probe=None,
        pictures=len(given.latents),
        size=given_size(given, model),
        words=given_words(given, conditioning, previewed),
        about={"latents": len(given.latents), "conditions": len(given.conditions)},
        hash=pictures_hash(None, given),
        others=encode_others(None, "", model, clip, settings),
    )


def given_words(given: Given, conditioning: list, places: list[int]) -> dict[int, EncodedPrompt]:
    entries = [
        [[row[None], options]]
        for each in conditioning
        for context, options in each
        for row in context
    ]
    return {
        place: EncodedPrompt("", entries[given.condition_of(given.places_at(place, 1)[0])])
        for place in places
    }


def given_size(given: Given, model: Model) -> tuple[int, int]:
    height, width = size_in_pixels(given.latents[0], compat.pixels_per_latent(model))
    return width, height


def pictures_hash(dataset: Dataset | None, given: Given | None) -> str:
    """The fingerprint of all that is learnt from. Nothing is decoded or encoded for it."""
    if given is not None:
        entries = given.conditions
        contexts = [entry["context"] for entry in entries]
        others = [entry[key] for entry in entries for key in sorted(entry) if key != "context"]
        return tensors_hash([*given.latents, *contexts, *others])
    assert dataset is not None
    contents = Contents(dataset.folder, cache_folder() / "contents")
    line = partial(compat.Progress, title="Comparing pictures", on_node=False)
    found = dataset_hash(dataset, contents, watch(line))
    contents.keep()
    return found
