/** Pictures and their captions on their way from this computer into a folder of the server's. */
import {api} from "../../../scripts/api.js";
import {notice} from "../desk.js";
import {fresh} from "../language.js";
import {renewPanels} from "../panel.js";

const {say} = await import(fresh("./words.mjs"));
const {setWidget} = await import(fresh("./pages.mjs"));

const OURS = /\.(png|jpe?g|webp|bmp|tiff?|gif|avif|heic|jxl|jp2|tga|txt|caption|jsonl?|csv)$/i;
const USUAL = "my_pictures";

/**
 * Files, or what was dropped. Nothing that is there already is overwritten: the editor's own route
 * takes the same file once, and gives another of that name a number.
 * @type {(node: EditorNode, given: (File | FileSystemEntry | null)[]) => Promise<void>}
 */
export async function takeIn(node, given) {
	const found = (await Promise.all(given.map((each) => filesIn(each)))).flat();
	const files = found.filter(({file}) => OURS.test(file.name) && !/^\./.test(file.name));
	if (!files.length) return notice("warn", say("upload"), say("nothing"));
	const directory = files[0].path.split("/")[0];
	const folder = directory || folderNow(node);
	let done = 0;
	const faults = [];
	for (const {file, path} of files) {
		const inside = directory ? path : [folder, path].filter(Boolean).join("/");
		await upload(file, inside).catch((fault) => faults.push(`${file.name}: ${fault.message}`));
		done += 1;
		if (done % 50 === 0) notice("info", say("upload"), say("uploaded", done, files.length));
	}
	if (faults.length) notice("error", say("upload"), faults.slice(0, 5).join("\n"));
	else notice("success", say("upload"), say("arrived", files.length, folder));
	setWidget(node, "folder", folder);
	renewPanels();
}

/** The one that the node names, if it is one of the input directory; else the usual one. */
function folderNow(/** @type {EditorNode} */ node) {
	const typed = String(node.widgets?.find(({name}) => name === "folder")?.value ?? "").trim();
	return /^[^/\\~"[\]:]+(\/[^/\\"[\]:]+)*$/.test(typed) && !typed.includes("..") ? typed : USUAL;
}

/**
 * With the folders that each is in, of those that were given.
 * @param {File | FileSystemEntry | null} given
 * @returns {Promise<{file: File, path: string}[]>}
 */
async function filesIn(given, path = "") {
	if (!given) return [];
	if (given instanceof File) return [{file: given, path}];
	if (given.isFile) {
		const entry = /** @type {FileSystemFileEntry} */ (given);
		const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
		return [{file, path}];
	}
	const reader = /** @type {FileSystemDirectoryEntry} */ (given).createReader();
	const inside = [path, given.name].filter(Boolean).join("/");
	const found = [];
	for (;;) {
		/** @type {FileSystemEntry[]} some of them at a time */
		const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
		if (!part.length) return found;
		for (const entry of part) found.push(...(await filesIn(entry, inside)));
	}
}

async function upload(/** @type {File} */ file, /** @type {string} */ subfolder) {
	const body = new FormData();
	body.append("image", file, file.name);
	body.append("subfolder", subfolder);
	body.append("type", "input");
	const answer = await api.fetchApi("/upload/image", {method: "POST", body});
	if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
}
