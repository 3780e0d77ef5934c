"""Is the average that the probe chooses after training as good as the best moving average?

    python -m benchmarks.averages [SEEDS]

400 updates of one of the demo's pictures on the bundled model, with a constant rate and with one
that falls to 0 along a cosine; with typed rates there is no noise offset and nothing is preserved.
Of the 64 pictures, 44 are learnt, ten are the probe's, and the loss of all networks is told on the
other ten, eight noise levels for each. Moving averages of three decays follow the same training.
Prints a line for each training, then the means.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import mean

import torch

from hypernet import Hypernetwork
from hypernet.runs.average_choice import choose_average
from hypernet.runs.snapshots import is_due, rebuild, save_snapshots, snapshots_in
from hypernet.seeding import sample_order
from hypernet.training.diffusion import Batch
from hypernet.training.learner import Learner, average_decay, follow
from hypernet.training.probe import Probe
from hypernet.training.train import measured, train

from .methods import Recipe, network_of
from .quality import WIDE, Bench, denoiser

SEEDS = 5
RATES = {"cosine": "cosine 3.9e-4 warmup 20", "constant": "3.9e-4"}
DECAYS = (0.9, 0.95, 0.98)
LEARNT, PROBED = 44, 54  # where a shuffled list of the pictures is cut


def losses(bench: Bench, rate: str, seed: int) -> dict[str, float]:
    """The loss on pictures that nothing has seen, by how the network came about."""
    pictures = torch.randperm(
        len(bench.latents), generator=torch.Generator().manual_seed(seed)
    ).tolist()
    learnt, probed, tested = pictures[:LEARNT], pictures[LEARNT:PROBED], pictures[PROBED:]

    def batch_of(rows: list[int]) -> Batch:
        return Batch(bench.latents[rows], {"context": bench.texts[rows]})

    def batch_at(first: int, number: int) -> Batch:
        return batch_of([learnt[i] for i in sample_order(seed, LEARNT, first, number)])

    recipe = Recipe(spec=WIDE, settings={"steps": 400, "learning_rate": rate, "averages": 8})
    learner = Learner(network_of(recipe, seed), recipe.train_settings(seed))
    averages = {decay: learner.network.copy().requires_grad_(False) for decay in DECAYS}
    probe, test = Probe([batch_of(probed * 4)]), Probe([batch_of(tested * 8)])
    with denoiser(bench.model) as opened, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in train(learner, opened, batch_at, probe):
            for decay, average in averages.items():
                with torch.no_grad():
                    follow(average, learner.network, 1 - average_decay(decay, learner.done))
            if learner.powers and is_due(learner.settings, learner.powers.since, learner.done):
                save_snapshots(folder, "run", learner.powers)
        found = snapshots_in(folder)
        width = choose_average(found, learner, opened, probe).width

        def loss(network: Hypernetwork) -> float:
            return measured(learner, opened, test, network).loss

        told = {"without": loss(learner.network), "chosen": loss(rebuild(found, width).network)}
        told |= {f"decay {decay:g}": loss(average) for decay, average in averages.items()}
    return told | {"width": width}


def main() -> None:
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS)
    bench = Bench("twemoji")
    for name, rate in RATES.items():
        rows = []
        for seed in seeds:
            rows.append(losses(bench, rate, seed))
            print(name, seed, {key: round(value, 5) for key, value in rows[-1].items()}, flush=True)
        means = {key: round(mean(row[key] for row in rows), 5) for key in rows[0]}
        print(f"{name}, mean of {len(rows)}: {means}", flush=True)


if __name__ == "__main__":
    main()
