/** A page that keeps what is put into it. It has no layout, no styles and no markup. */

class Element {
	attributes = {};
	children = [];
	listeners = {};

	constructor(kind, namespace = "") {
		this.kind = kind;
		this.namespace = namespace;
	}

	setAttribute(name, value) {
		this.attributes[name] = value;
	}

	addEventListener(event, heard) {
		this.listeners[event] = heard;
	}

	append(...children) {
		this.children.push(...children);
	}

	get textContent() {
		return this.children.map((each) => each.textContent ?? each).join("");
	}

	/** All of this kind inside, from the first to the last. */
	all(kind) {
		const inside = this.children.filter((each) => each instanceof Element);
		return inside.flatMap((each) => [...(each.kind === kind ? [each] : []), ...each.all(kind)]);
	}
}

export const page = {
	head: new Element("head"),
	createElement: (kind) => new Element(kind),
	createElementNS: (namespace, kind) => new Element(kind, namespace),
};
