"""Measures what a large dataset costs: 10,000 pictures of 1024 × 1024 pixels in mixed formats.

Each row is measured in a process of its own, so that its memory can be told, and compared with the
least possible work. For a folder that is opening every file and reading its first 4 KiB; for
pixels it is decoding with Pillow. "cold" means that the cache is empty, although the system may
have the files in memory. CPU time shows how long it would take on a machine with nothing else to
do. Memory is the peak above what the imports took. The folder has hard links to 50 pictures. Writes
out/bench/data.json and prints the table. Fails if a limit is exceeded.

    python benchmarks/data.py [PICTURES]
    COMFYUI_DIR=… COMFYUI_PYTHON=… python benchmarks/data.py    also measures core's dataset node
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import in_comfyui
import numpy as np
from interleaved import machine
from PIL import Image

HERE = Path(__file__).resolve().parent
RESULT = HERE.parent / "out" / "bench" / "data.json"
PICTURES, DISTINCT, SIDE = 10_000, 50, 1024
FORMATS = {  # how many of the distinct pictures, and Pillow's options for saving them
    "jpg": (20, {"quality": 90}),
    "png": (18, {"compress_level": 1}),
    "webp": (8, {"quality": 80, "method": 0}),
    "tif": (2, {}),
    "bmp": (2, {}),
}
DECODED = 300  # pictures in rows that decode: they are enough for the time per picture
MIB = 2**20
LIMITS = {  # by row: the most seconds for 10,000 pictures, and the most MiB
    "Load Dataset, cold": {"seconds": 15.0, "mib": 512},
    "Load Dataset, warm": {"seconds": 2.0, "mib": 512},
    "pixels, one after the other": {"mib": 512},
    "encoding, one after the other": {"mib": 512},
    "a second start of training": {"seconds": 5.0, "mib": 512},
}


# --- the folder ----------------------------------------------------------------------------------


def write_folder(folder: Path, count: int) -> None:
    chance = np.random.default_rng(0)
    originals = []
    for suffix, (number, options) in FORMATS.items():
        for _ in range(number):
            coarse = chance.integers(0, 256, (SIDE // 16, SIDE // 16, 3), dtype=np.uint8)
            smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            path = folder / f"original {len(originals)}.{suffix}"
            smooth.save(path, **options)
            originals.append(path)
    assert len(originals) == DISTINCT
    for place in range(count):
        original = originals[place % DISTINCT]
        os.link(original, folder / f"picture {place:05}{original.suffix}")
        if place % 5:
            (folder / f"picture {place:05}.txt").write_text(f"a picture, number {place}")
    for original in originals:
        original.unlink()


# --- rows ----------------------------------------------------------------------------------------


def read_folder(folder: Path, work: Path) -> Callable[[], object]:
    from hypernet.dataset.in_words import report
    from hypernet.dataset.reading import read_dataset

    return lambda: report(read_dataset(folder, 512, 512, cache=work))


def notice_changes(folder: Path, work: Path) -> Callable[[], object]:
    from hypernet.dataset.listing import list_folder

    return lambda: list_folder(folder)


def look_alike(folder: Path, work: Path) -> Callable[[], object]:
    from hypernet.dataset.reading import in_threads, look_or_fault
    from hypernet.pictures.duplicates import alike

    paths = sorted(folder.glob("*.*g*"))[:DECODED]
    return lambda: alike([look for _, look in in_threads(look_or_fault, paths)])


def pixels(folder: Path, work: Path) -> Callable[[], object]:
    from hypernet.dataset.items import read_pixels

    dataset = some_of(folder, work)

    def run() -> None:
        for item in dataset.items:
            read_pixels(item, dataset)

    return run


def focal_points(folder: Path, work: Path) -> Callable[[], object]:
    from hypernet.dataset.prepare import Preparation, prepare

    dataset = some_of(folder, work, height=768)
    return lambda: prepare(dataset, Preparation(crop="focal point"))


def sheet(folder: Path, work: Path) -> Callable[[], object]:
    from hypernet.dataset.contact_sheet import contact_sheet

    dataset = some_of(folder, work)
    return lambda: contact_sheet(dataset, 16)


def encode_new(folder: Path, work: Path) -> Callable[[], object]:
    """Encode pictures that are not in the cache. The VAE here takes no time."""
    from hypernet.dataset.content_keys import Contents
    from hypernet.encoding.encode import encode_dataset
    from hypernet.encoding.shards import Shards

    dataset = each_its_own(some_of(folder, work))

    def encode(pixels):
        latents = pixels[..., :1].movedim(-1, 1)[:, :, ::8, ::8].expand(1, 4, -1, -1)
        return latents, latents

    shards = Shards(work / "new")
    return lambda: encode_dataset(dataset, encode, shards, Contents(folder))


def second_start(folder: Path, work: Path) -> Callable[[], object]:
    """Find in the cache what an earlier run encoded: 4 × 64 × 64 and 77 × 768 numbers a picture."""
    from hypernet.dataset.content_keys import Contents
    from hypernet.dataset.reading import read_dataset
    from hypernet.encoding.encode import encode_dataset
    from hypernet.encoding.shards import Shards

    apart("fill", folder, work)

    def run() -> None:
        dataset = each_its_own(read_dataset(folder, 512, 512, cache=work))
        contents = Contents(folder, work / "contents")
        encode_dataset(dataset, not_again, Shards(work / "pictures"), contents)
        keep_prompts(dataset, work, not_again)

    return run


def not_again(given: object) -> None:
    raise AssertionError("this was encoded before")


def fill(folder: Path, work: Path) -> Callable[[], object]:
    """Fill the cache with made-up latents of all pictures, because decoding takes minutes."""
    import torch

    from hypernet.dataset.content_keys import Contents
    from hypernet.dataset.reading import read_dataset
    from hypernet.encoding.encode import key_of
    from hypernet.encoding.shards import Shards

    latent = torch.zeros(4, 64, 64)

    def run() -> None:
        dataset = each_its_own(read_dataset(folder, 512, 512, cache=work))
        contents, pictures = Contents(folder, work / "contents"), Shards(work / "pictures")
        for item in dataset.items:
            key = key_of(contents.key(item.path), item.cut)
            pictures.add(key, {"mean": latent, "std": latent.half()})
        pictures.write()
        contents.keep()
        keep_prompts(
            dataset, work, lambda texts: [{"context": torch.zeros(77, 768)} for _ in texts]
        )

    return run


def keep_prompts(dataset, work: Path, encode: Callable) -> None:
    from hypernet.encoding.encode import encode_prompts
    from hypernet.encoding.shards import Shards
    from hypernet.training.batches import all_prompts

    encode_prompts(all_prompts(dataset, "name"), encode, Shards(work / "prompts"))


def each_its_own(dataset):
    """Give every picture another cut, because the cache identifies pictures by their bytes.

    Otherwise all links to one picture would be one entry.
    """
    from dataclasses import replace

    from hypernet.pictures.crop import Cut

    size = dict(width=512, height=512)
    items = [
        replace(item, cut=Cut(box=(n % 500, n // 500, n % 500 + 512, n // 500 + 512), **size))
        for n, item in enumerate(dataset.items)
    ]
    return replace(dataset, items=tuple(items))


def open_files(folder: Path, work: Path) -> Callable[[], object]:
    def run() -> None:
        for entry in os.scandir(folder):
            with open(entry.path, "rb") as file:
                file.read(4096)

    return run


def decode(folder: Path, work: Path, count: int = DECODED) -> Callable[[], object]:
    paths = [item.path for item in some_of(folder, work).items[:count]]

    def run() -> None:
        for path in paths:
            with Image.open(path) as picture:
                picture.convert("RGB")

    return run


def decode_16(folder: Path, work: Path) -> Callable[[], object]:
    return decode(folder, work, 16)


def some_of(folder: Path, work: Path, height: int = 512):
    from dataclasses import replace

    from hypernet.dataset.reading import read_dataset

    dataset = read_dataset(folder, 512, height, cache=work)
    return replace(dataset, items=dataset.items[:DECODED])


ROWS = {  # what: (the work, the least possible work)
    "Load Dataset, cold": (read_folder, open_files),
    "Load Dataset, warm": (read_folder, open_files),
    "is the folder changed?": (notice_changes, open_files),
    "pixels, one after the other": (pixels, decode),
    "encoding, one after the other": (encode_new, decode),
    "a second start of training": (second_start, open_files),
    "pictures that look the same": (look_alike, decode),
    "focal points": (focal_points, decode),
    "contact sheet of 16": (sheet, decode_16),
}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    print(f"{machine()}, {os.cpu_count()} cores, {count} pictures", flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULT.parent) as place:
        folder, work = Path(place, "pictures"), Path(place, "cache")
        folder.mkdir()
        write_folder(folder, count)
        rows = []
        for what, (way, bare) in ROWS.items():
            rows.append(row(what, way, bare, folder, work))
            show(rows[-1])
        rows += peers(folder)
    content = {"machine": machine(), "pictures": count, "rows": rows}
    RESULT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"→ {RESULT}")
    if broken := [fault for each in rows for fault in over(each, count)]:
        sys.exit("\n".join(broken))


def row(what: str, way: Callable, bare: Callable, folder: Path, work: Path) -> dict:
    least = apart(bare.__name__, folder, work)
    found = apart(way.__name__, folder, work)
    return {
        "what": what,
        "seconds": round(found["seconds"], 4),
        "bare_seconds": round(least["seconds"], 4),
        "ratio": round(found["seconds"] / least["seconds"], 4),
        "cpu_seconds": round(found["cpu_seconds"], 4),
        "mib": round(found["mib"], 1),
    }


def apart(name: str, folder: Path, work: Path) -> dict:
    """Measure one of the functions above in a process of its own: seconds and MiB."""
    command = [sys.executable, __file__, "--row", name, str(folder), str(work)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure_row(name: str, folder: str, work: str) -> None:
    run = globals()[name](Path(folder), Path(work))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    begin, begin_cpu = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "mib": after - before}))


def show(found: dict) -> None:
    times = f"{found['seconds']:8.3f} s ÷ {found['bare_seconds']:.3f} s = {found['ratio']:.2f}"
    cpu = f"{found['cpu_seconds']:8.3f} s of the CPU"
    print(f"{found['what']:36} {times:36} {cpu} {found['mib']:8.1f} MiB", flush=True)


def over(found: dict, count: int) -> list[str]:
    """Sentences on the limits that a row exceeds."""
    limits = LIMITS.get(found["what"], {}) if count <= PICTURES else {}
    return [
        f"{found['what']}: {found[unit]} {unit}, at most {limit} wanted"
        for unit, limit in limits.items()
        if found[unit] > limit
    ]


def peers(folder: Path) -> list[dict]:
    """A row for core's dataset node, if COMFYUI_DIR names a ComfyUI.

    It holds all pixels in memory at once, so it is measured with DECODED pictures only.
    """
    if not in_comfyui.folder():
        print("COMFYUI_DIR is not set: core's dataset node is not measured.")
        return []
    found = in_comfyui.result_of("data_in_comfyui.py", folder, DECODED)
    show(found)
    return [found]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        measure_row(*sys.argv[2:])
    else:
        main()
