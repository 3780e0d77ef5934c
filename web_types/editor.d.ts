/**
 * What the extension uses of ComfyUI's graph editor, and no more: `app`, `api`, nodes and widgets.
 * Every editor that we support has it.
 */

/** A node of the graph. */
interface EditorNode {
	id: number | string;
	comfyClass: string;
	type: string;
	pos: [number, number];
	size: [number, number];
	showAdvanced?: boolean;
	subgraph?: {nodes: EditorNode[]}; // of a subgraph's node
	inputs?: {name: string; localized_name?: string}[];
	widgets?: Widget[];
	properties: {[name: string]: unknown};
	configure(saved: SavedNode): void;
	computeSize(): [number, number];
	setSize(size: [number, number]): void;
	setDirtyCanvas(front: boolean, back: boolean): void;
	isInputConnected(slot: number): boolean;
	getInputNode(slot: number): EditorNode | null;
	getInputLink(slot: number): {origin_slot: number};
	connect(slot: number, node: EditorNode, input: number): unknown;
	addWidget(type: string, name: string, value: unknown, clicked: () => void, how: object): Widget;
	addDOMWidget(name: string, type: string, element: HTMLElement, how: object): DOMWidget;
	/** Hooks, which the editor or another extension may have set. */
	onRemoved?: Hook;
	onExecuted?: Hook;
	onSerialize?: Hook;
}

/** One that knows what its kind says of its inputs: [type, {tooltip}] by name. */
interface ExplainedNode extends EditorNode {
	title: string;
	constructor: (() => void) & {
		nodeData?: {input?: {[need in "required" | "optional"]?: {[name: string]: [any, any]}}};
	};
}

/** As a workflow holds it. */
interface SavedNode {
	showAdvanced?: boolean;
	properties?: {[name: string]: unknown};
	widgets_values?: unknown[];
}

/** Each hook has arguments of its own. */
type Hook = (this: EditorNode, ...given: any[]) => unknown;

interface Widget {
	name: string;
	type?: string;
	/** Of the kind that its input has: text, a number, yes or no. */
	value: any;
	element?: HTMLElement;
	label?: string;
	callback?(value: unknown): void;
	/** Before a prompt is made of the graph to be queued. */
	beforeQueued?(): void;
	/** The value in a prompt, which waits for it. */
	serializeValue?(): Promise<unknown>;
	/** On the canvas. */
	draw?(...given: DrawsWidget): void;
	serialize?: boolean;
	hidden?: boolean;
	advanced?: boolean;
	options?: {
		advanced?: boolean;
		hidden?: boolean;
		values?: unknown;
		getMaxHeight?: () => number;
		/** What a menu shows for a value. */
		getOptionLabel?: (value: string) => string;
	};
}

type DrawsWidget = [
	pen: CanvasRenderingContext2D,
	node: EditorNode,
	width: number,
	top: number,
	height: number,
	coarse?: boolean,
];

interface DOMWidget extends Widget {
	element: HTMLElement;
}

interface Graph {
	nodes: (EditorNode & {title: string})[];
	groups: {title: string; pos: [number, number]; size: [number, number]}[];
	extra: {hypernet?: string};
	add(node: EditorNode): void;
	remove(node: EditorNode): void;
	/** Around what is undone at once. */
	beforeChange(): void;
	afterChange(): void;
}

interface Extension {
	name: string;
	settings?: object[];
	commands?: {id: string; label: string; icon: string; function(): unknown}[];
	menuCommands?: {path: string[]; commands: string[]}[];
	setup?(): void;
	nodeCreated?(node: EditorNode): void;
	afterConfigureGraph?(): unknown;
	/** Ids of commands for buttons above what is selected. */
	getSelectionToolboxCommands?(item: {type?: string; comfyClass?: string}): string[];
	/** More entries of the menu that a right click on a node opens. */
	getNodeMenuItems?(node: EditorNode): {content: string; callback(): void}[];
}

type Severity = "info" | "success" | "warn" | "error";

/** Since 1.58 `dismiss` and a function for each severity, with "warning" for "warn"; `remove` before. */
interface Toasts {
	add(toast: Toast): void;
	remove?(toast: Toast): void;
	[severity: string]: any;
}

interface Toast {
	severity: Severity;
	summary: string;
	detail: string;
	life: number;
}

interface SidebarTab {
	id: string;
	icon: string;
	title: string;
	tooltip: string;
	type: "custom";
	render(place: HTMLElement): void;
}

interface App {
	registerExtension(extension: Extension): void;
	handleFile(file: File): void;
	graph: Graph;
	canvas: {
		canvas: HTMLCanvasElement;
		selectedItems?: Set<any>;
		getWidgetAtCursor?(node: EditorNode): Widget | undefined;
		/**
		 * A place (x, y) of the graph is drawn at scale · (place + offset), in pixels. visible_area:
		 * left, top, width and height of what is seen of the graph.
		 */
		ds: {scale: number; offset: [number, number]; visible_area: number[]};
		setDirty(front: boolean, back: boolean): void;
		graph: {add(node: EditorNode): void};
		convertEventToCanvasOffset(event: MouseEvent): [number, number];
	};
	extensionManager: {
		/** The value has the type that the setting declares. */
		setting: {get(id: string): any};
		toast: Toasts;
		registerSidebarTab(tab: SidebarTab): void;
		sidebarTab: {toggleSidebarTab(id: string): void};
		workflow?: {nodeToNodeLocatorId?(node: EditorNode): string};
		/** Pinia, and in it the editor's stores by name: internal, another editor may have none. */
		_p?: {_s?: Map<string, any>};
	};
}

interface Api {
	/** The server's events: `detail` is what it sent. */
	addEventListener(event: string, heard: (event: CustomEvent) => void): void;
	removeEventListener(event: string, heard: (event: CustomEvent) => void): void;
	fetchApi(path: string, how?: RequestInit): Promise<Response>;
	apiURL(path: string): string;
}

declare module "*/scripts/app.js" {
	export const app: App;
}

declare module "*/scripts/api.js" {
	export const api: Api;
}

declare var LiteGraph: {
	createNode(kind: string): EditorNode;
	WIDGET_SECONDARY_TEXT_COLOR: string;
};
