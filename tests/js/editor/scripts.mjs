/** The editor's app and api, as far as modules need them to be loaded. The server never answers. */

/** By id: what a test sets, the modules read. */
export const settings = new Map();

export const app = {
	registerExtension() {},
	extensionManager: {setting: {get: (id) => settings.get(id)}},
};

export const api = {
	addEventListener() {},
	apiURL: (path) => path,
};
