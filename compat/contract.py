"""What a host offers to our nodes. Both sides implement exactly these names.

Tensors: B batch, T tokens, C width, H W pixel rows and columns, h w latent rows and columns.
IMAGE is (B, H, W, 3) float32 in 0..1. Latents are as the UNet sees them: scaled.

Nodes and their types
    io                    the V3 module: Schema, ComfyNode, NodeOutput, Custom, Int, Float, …
    ui                    PreviewImage(images, cls=cls), PreviewText(text): UI outputs
    ComfyExtension        base of the object that comfy_entrypoint returns

Words about the host
    host_name() -> str                   e.g. "ComfyUI 0.33.0", "hypernet stand-in"

Folders
    input_folder() -> Path               where users put pictures
    output_folder() -> Path              where results go
    dataset_folders() -> list[Path] | None
                                         below which a graph may read folders of pictures; None for
                                         everywhere
    network_folders() -> list[Path]      where hypernetworks lie; new files go into the first
    network_names() -> list[str]         their names relative to those folders, "/"-separated,
                                         of .pt and .safetensors files, sorted, newest host view
    lora_folder() -> Path                where new LoRA files go
    model_folders(name) -> list[Path]    models/<name>, and what the host's configuration has under
                                         that name; they need not exist

Interrupts and progress
    Interrupted                          the exception (a BaseException) that stops a prompt
    is_interrupted() -> bool             has the user asked to stop? (does not clear it)
    raise_if_interrupted() -> None       clears the request and raises Interrupted
    Progress(total, done=0, title="")    .update(step, preview=None): step of total for the node
                                         that is being executed, preview a PIL image. Never raises:
                                         interrupts are polled with is_interrupted(). With a title
                                         there is a line in the terminal, too, see progress_line.py:
                                         done steps are of an earlier run, .beside(words) sets what
                                         stands at its end, .close() ends it early

    gather_processes() -> hypernet.parallel.Processes
                                         this process and those that train together with it, by now
                                         all at the node that is being executed

Talking to the editor
    send_event(name, data: dict) -> None what JSON can say, to every editor that is open; lost where
                                         none is. From any thread, never raises
    queued_prompts() -> list[dict]       the graphs that run or wait for their turn, in that order,
                                         in API format: node id -> {"class_type", "inputs"}
    add_route(method, path, answer)      the server answers `method` ("GET", "POST") at `path`
                                         ("/hypernet/…") by answer(query: dict[str, str], body) on a
                                         thread of its own: what JSON can say, or the Path of a file
                                         to send. body is the request's JSON, None without one. Its
                                         ValueError becomes a 400 and its OSError a 404, with
                                         {"error": sentence}. Call it while the pack is imported

Models (what the sockets MODEL, CLIP, VAE, CONDITIONING carry belongs to the host)
    encode_pictures(vae, pictures, model) -> (mean, std)
                                         (B, H, W, 3) float 0..1 -> two Tensors (B, c, h, w) float32
                                         on the CPU, scaled as the UNet of this model sees latents:
                                         the mean of each and its standard deviation, 0 where this
                                         VAE tells none
    scale_latents(model, samples) -> Tensor
                                         a LATENT's samples (B, c, h, w) as the UNet of this model
                                         sees them, float32 on the CPU; ValueError for a latent
                                         of another kind of model
    encode_texts(clip, texts) -> list[dict[str, Tensor]]
                                         one per text: {"context": (T, C), "pooled": (P,)}, float32
                                         on the CPU; "pooled", which SDXL reads, is left out where
                                         the text encoder gives none
    conditioning(clip, text) -> CONDITIONING
    read_conditioning(conditioning) -> list[dict[str, Tensor]]
                                         its entries as encode_texts gives texts, and "sizes"
                                         (6,), see hypernet/pictures/sdxl_sizes.py, where it
                                         names a size
    release(*models) -> None             VAE or CLIP leave the accelerator (to RAM)
    unload(folder: Path, *models) -> None
                                         those that did leave RAM too, for a file in the folder that
                                         is read when they are used again; OSError without room.
                                         Weights that the host keeps in a file of its own stay there
    load_demo_model(folder: Path) -> (MODEL, CLIP, VAE)
                                         the model that comes with the pack, a diffusers folder
    denoiser(model, *, dtype=None, offload=False, compiled=None)
                                         -> context manager yielding hypernet.diffusion.Denoiser
                                         the frozen UNet on its device, with parameters that
                                         autograd may read (no inference tensors), restored after.
                                         dtype: of its arithmetic, None for the model's own.
                                         offload: weights stay in RAM and visit the device.
                                         compiled: None, or what hears a sentence where compiling
                                         fails
    attention_widths(model) -> dict[str, tuple[int, ...]]
                                         {"attn1": widths, "attn2": widths}: input sizes of to_k;
                                         ValueError names an architecture without patch points
    manage(module) -> list               the host moves this module of ours, in place, to where it
                                         loads models, and counts its memory, for every model that
                                         has a patch whose models() is this list
    track_changes(model) -> None         in this clone, the text and the noise levels that reach
                                         attention are ordinary tensors, in inference mode too:
                                         their _version tells when someone writes into them;
                                         and where the model is compiled, its code heeds patches
    model_name(model) -> str             file name of the checkpoint, or "" when unknown
    model_file(model) -> Path | None     the checkpoint, a file or a diffusers folder, if known
    changes_of(model) -> dict            what a MODEL, CLIP or VAE carries beside the weights of its
                                         file (LoRAs, a CLIP skip), as identity.changes_hash takes
                                         it
    generate(model, vae, positive, negative, *, width, height, seed, steps, cfg) -> IMAGE
                                         one picture by the host's own sampler (euler, normal);
                                         positive and negative are CONDITIONING
    torch_device() -> torch.device       where the host runs models
    free_memory() -> None                drop caches that nobody needs
    attention_weights(model) -> Iterator[hypernet.fold.AttentionWeights]
                                         the projections of every block, with the changes that the
                                         model carries (LoRAs, folded networks), under diffusers'
                                         names; one block at a time
    with_weight_changes(model, changes: Mapping[str, Tensor]) -> MODEL
                                         a clone with these added to its weights while it is in
                                         use; "<name of a block>.to_k.weight" -> Tensor and so on

MODEL objects have, on both sides: clone(), set_model_attn1_patch(patch),
set_model_attn2_patch(patch), get_model_object("model_sampling"), model_options,
set_attachments(key, value) and get_attachment(key), which clones keep, and model_dtype(), the type
of the UNet's stored weights.
A patch is called as patch(n, context, value, extra_options) -> (n, context, value) before
to_q/to_k/to_v. It may have to(device or dtype), which returns the patch to use, models(), and
cleanup(), which ends a sampling run also when that is broken off. extra_options["sigmas"],
["cond_or_uncond"], ["sample_sigmas"], ["block"], ["block_index"] and
model_sampling.percent_to_sigma(percent) mean what they mean in ComfyUI.
"""

NAMES = (
    "io",
    "ui",
    "ComfyExtension",
    "host_name",
    "input_folder",
    "output_folder",
    "dataset_folders",
    "network_folders",
    "network_names",
    "lora_folder",
    "model_folders",
    "Interrupted",
    "is_interrupted",
    "raise_if_interrupted",
    "Progress",
    "gather_processes",
    "send_event",
    "queued_prompts",
    "add_route",
    "encode_pictures",
    "scale_latents",
    "encode_texts",
    "conditioning",
    "read_conditioning",
    "release",
    "unload",
    "load_demo_model",
    "denoiser",
    "attention_widths",
    "manage",
    "track_changes",
    "model_name",
    "model_file",
    "changes_of",
    "generate",
    "torch_device",
    "free_memory",
    "attention_weights",
    "with_weight_changes",
)
