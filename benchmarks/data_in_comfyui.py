"""The part of data.py that runs in ComfyUI's interpreter. Its last line has the row as JSON.

python data_in_comfyui.py COMFYUI_DIR FOLDER PICTURES
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

READ_BY_CORE = (".png", ".jpg", ".jpeg", ".webp")


def main() -> None:
    comfyui, folder, count = sys.argv[1:]
    sys.path.insert(0, comfyui)
    from comfy.cli_args import args

    args.cpu = True
    import folder_paths
    from comfy_extras.nodes_dataset import LoadImageTextDataSetFromFolderNode as Node

    pictures = [p for p in sorted(Path(folder).iterdir()) if p.suffix in READ_BY_CORE]
    pictures = pictures[: int(count)]
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as place:
        (Path(place) / "some").mkdir()
        for path in pictures:
            os.link(path, Path(place) / "some" / path.name)
        folder_paths.set_input_directory(place)
        begin = time.perf_counter()
        for path in pictures:
            with Image.open(path) as picture:
                picture.convert("RGB")
        bare = time.perf_counter() - begin
        before = peak_mib()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        Node.execute("some")
        seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    row = {
        "what": f"core's dataset node, {len(pictures)} pictures",
        "seconds": round(seconds, 4),
        "bare_seconds": round(bare, 4),
        "ratio": round(seconds / bare, 4),
        "cpu_seconds": round(cpu, 4),
        "mib": round(peak_mib() - before, 1),
    }
    print(json.dumps(row))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
