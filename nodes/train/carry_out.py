"""Carries out a planned training: encodes, trains, and writes the files.

Pictures and prompts are encoded first. Then VAE and text encoder leave the device, and training
begins. Everything is on the disk before the node returns. If several processes train together, only
the leading one writes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from hypernet.formats.networks import suffix_for
from hypernet.network.hypernetwork import Hypernetwork, Record
from hypernet.runs.average_choice import ENTRY
from hypernet.runs.history import read_history
from hypernet.runs.run import Run
from hypernet.runs.standing import finished_entry, free_name
from hypernet.training.diffusion import Denoiser
from hypernet.training.learner import Learner

from ... import compat
from ..shared.progress import shown_by
from ..use.load_save import network_file, runs_folder
from .asked import Asked
from .denoiser import open_denoiser
from .encoders import leave
from .live import LiveRun, Preparing, watched
from .material import Material, from_dataset, from_given, with_regularization
from .names.naming import FURTHER
from .notices import Notices
from .plan import Plan, planned
from .previews.drawing import Previewer
from .session import Session, follow
from .trained import Trained, give_back


def run(asked: Asked, notices: Notices) -> Trained:
    """Train the network, or load it if a run of the same request has finished before."""
    with planned(asked, notices.say) as plan:
        live = LiveRun(
            name=plan.found.name, asked=asked.name, node=asked.node, total=asked.settings.steps
        )
        if plan.is_trained:
            trained = give_back(asked, plan.found.before, notices.say)
            live.history.step, live.stage = trained.network.record.step, "finished"
            live.tell()
            return trained
        with watched(live), notices.heard_by(live.say):
            return carry_out(plan, live, notices)


def carry_out(plan: Plan, live: LiveRun, notices: Notices) -> Trained:
    with shown_by(partial(Preparing, live)):
        material, previewer = encode_in_turn(plan)
    network = Hypernetwork(plan.asked.spec, Record(name=Path(plan.found.name).name))
    network.record.architecture = plan.asked.architecture
    network.record.sd_checkpoint = plan.asked.request.model
    network.record.sd_checkpoint_name = compat.model_name(plan.asked.model) or None
    network.record.start = plan.asked.start
    network.record.curve = plan.asked.settings.strength_curve
    seen = material.hash, plan.beginning.step, network.record.sd_checkpoint
    if not plan.processes.agree(seen):
        raise ValueError(
            "The processes do not see the same pictures, words, model and state to go on "
            "from. Let nodes that write (sidecars, prepared folders) do so in a run of their "
            "own before, and give all processes the same folders."
        )
    if not plan.processes.leads:
        return train_along(plan, network, material, notices)
    return train_and_save(plan, network, material, previewer, live, notices)


def encode_in_turn(plan: Plan) -> tuple[Material, Previewer]:
    """The leading process encodes first; then the others find the results in the cache."""
    if not plan.processes.leads:
        plan.processes.told()  # wait for the leading process
    found = encode(plan.asked, plan.previewed_steps())
    if plan.processes.leads:
        plan.processes.told()  # let the others begin
    return found


def encode(asked: Asked, previewed: list[int]) -> tuple[Material, Previewer]:
    """Encode pictures and prompts; then both encoders leave the device."""
    places = asked.places(previewed)
    try:
        if asked.given is not None:
            material = from_given(
                asked.given, asked.conditioning, asked.model, asked.clip, asked.settings, places
            )
        else:
            assert asked.dataset is not None  # check_one_source has checked
            material = from_dataset(
                asked.dataset, asked.model, asked.clip, asked.vae,
                name=asked.word, settings=asked.settings, previewed=places,
            )  # fmt: skip
        material = with_regularization(
            material, asked.regularization, asked.model, asked.clip, asked.vae,
            name=asked.word, settings=asked.settings,
        )  # fmt: skip
        return material, asked.previewer(material.words, material.size, previewed)
    finally:
        leave(asked.encoders, asked.vae, asked.clip)


@contextmanager
def learning(
    plan: Plan, network: Hypernetwork, notices: Notices
) -> Iterator[tuple[Denoiser, Learner]]:
    """Inside, the network is on the UNet's device and has a Learner.

    Afterwards nothing of ours stays on the device, even after an error.
    """
    asked, learner = plan.asked, None
    try:
        with open_denoiser(asked.model, asked.settings, notices.say) as denoiser:
            network.to(denoiser.device)
            learner = Learner(network, asked.settings)
            yield denoiser, learner
    finally:
        for each in [network] if learner is None else learner.networks:
            each.zero_grad(set_to_none=True)
            each.cpu()
        compat.free_memory()


def train_and_save(
    plan: Plan,
    network: Hypernetwork,
    material: Material,
    previewer: Previewer,
    live: LiveRun,
    notices: Notices,
) -> Trained:
    """Train in the leading process, which writes all files."""
    asked, beginning, name = plan.asked, plan.beginning, network.record.name
    run = Run(plan.folder, name, material.pictures, asked.settings, asked.keeping)
    manifest = manifest_of(plan, network, material)
    began = time.monotonic()
    with learning(plan, network, notices) as (denoiser, learner):
        say_what_changed(plan, manifest, notices)
        beginning.put_weights(learner, notices.say)
        for sentence in run.begin(network, learner, beginning.state, beginning.step):
            notices.say(sentence)
        run.describe(manifest)
        live.begin(run, read_history(run.folder), notices.said, denoiser.device)
        session = Session(
            learner=learner, run=run, previewer=previewer, say=notices.say, live=live,
            processes=plan.processes,
        )  # fmt: skip
        session.learn(denoiser, material, beginning.step)
    if live.control.stops:
        notices.say(f"Ended after step {learner.done} of {asked.settings.steps}, as you asked.")
    live.enter("finishing")
    picture, grid, file = session.finish(
        result_file(plan, plan.found.name), lambda: another_file(plan)
    )
    ended = {
        "seconds": round(time.monotonic() - began, 1),
        "finished": finished_entry(file, compat.network_folders()[0], learner.done),
    }
    if session.chosen is not None:
        ended[ENTRY] = session.chosen.entry
    session.keep(lambda: run.describe(manifest | ended))
    return Trained(
        network=learner.result, picture=picture, grid=grid, losses=run.losses(), file=file,
        said=f"Saved {file} after {learner.done} steps.",
    )  # fmt: skip


def train_along(plan: Plan, network: Hypernetwork, material: Material, notices: Notices) -> Trained:
    """Train in a helping process: no files, a black preview, only new losses."""
    with learning(plan, network, notices) as (denoiser, learner):
        plan.beginning.put(learner, notices.say)
        losses = follow(learner, denoiser, material, plan.processes)
    width, height = material.size
    black = torch.zeros(1, height, width, 3)
    return Trained(
        network=learner.result, picture=black, grid=black, losses=losses,
        file=result_file(plan, plan.found.name), said="",
    )  # fmt: skip


def another_file(plan: Plan) -> Path:
    """Another path for the network, if its name was taken while it was trained."""
    folders = runs_folder(), compat.network_folders()
    return result_file(plan, free_name(plan.asked.name, {plan.found.name}, *folders))


def result_file(plan: Plan, name: str) -> Path:
    return network_file(name, suffix_for(plan.asked.spec))


def say_what_changed(plan: Plan, manifest: dict, notices: Notices) -> None:
    """Tell the user if a resumed run now has other pictures, words or model."""
    if plan.beginning.state is None:
        return
    was = plan.found.before.manifest
    for what, name in (("dataset_hash", "pictures and words"), ("model_hash", "model")):
        if was.get(what) not in (None, manifest[what]):
            notices.say(f"The {name} are not those that the run began with: {what} has changed.")


def manifest_of(plan: Plan, network: Hypernetwork, material: Material) -> dict:
    asked, found = plan.asked, plan.found
    request = replace(asked.request, pictures=asked.pictures, begins_with=found.begins_with)
    return {
        "name": found.name,
        "asked": asked.name,
        "host": compat.host_name(),
        "model": network.record.sd_checkpoint_name,
        "model_hash": network.record.sd_checkpoint,
        "architecture": asked.architecture,
        "continue_from": asked.earlier and asked.earlier.name,
        "trained_further": found.before.name if found.kind == FURTHER else None,
        "spec": asdict(network.spec),
        "preview": asdict(asked.preview),
        "dataset": material.about,
        "regularization": asked.regularization and asdict(asked.regularization),
        "dataset_hash": material.hash,
        "request": asdict(request),
    }
