/**
 * In which order Train Hypernet shows its settings. Workflows keep their values in the order of the
 * node's inputs, whatever is said here: see order.js.
 */

/** Always visible, above the live view. */
export const ALWAYS = [
	"name",
	"plan",
	"steps",
	"learning_rate",
	"batch_size",
	"preset",
	"seed",
	"preview_prompt",
	"preview_every",
	"training",
];

/** Below it, each behind its header. @type {{[section: string]: string[]}} */
export const SECTIONS = {
	previews: [
		"preview_steps",
		"preview_cfg",
		"preview_negative",
		"preview_seed",
		"preview_width",
		"preview_height",
		"preview_prompts",
		"preview_control",
	],
	saving: [
		"if_taken",
		"resume",
		"continue_from",
		"save_every",
		"keep_last",
		"save_optimizer",
		"tensorboard",
	],
	memory: [
		"accumulation",
		"checkpointing",
		"unet_dtype",
		"offload",
		"blocks_to_swap",
		"compile",
		"cuda_graphs",
		"encoders",
	],
	learning: [
		"hypernet_panel",
		"optimizer",
		"weight_decay",
		"gradient_clip",
		"clip_limit",
		"ema",
		"averages",
		"strength_curve",
		"loss",
		"huber_delta",
		"min_snr_gamma",
		"noise_offset",
		"timesteps",
		"min_timestep",
		"max_timestep",
		"latent_sampling",
	],
	checks: [
		"probe_every",
		"held_out",
		"preserve",
		"preserve_every",
		"preserve_prompts",
		"regularization_weight",
	],
};
