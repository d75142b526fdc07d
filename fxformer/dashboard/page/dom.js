"use strict";
// DOM elements from data. Text is added as text nodes only, so that text of a run never becomes markup.

// h("a.name", {href, onclick, …}, child, [children], "text") -> element
function h(selector, ...rest) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  if (rest.length && isAttributes(rest[0])) setAll(element, rest.shift());
  add(element, rest);
  return element;
}

function isAttributes(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value)
    && !(value instanceof Node);
}

function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

// Replaces the children of `element`.
function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

// svg("path", {d, class}, …children)
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  add(element, children);
  return element;
}

// A labelled select: options are values or [value, label]; calls change(value).
function choice(label, options, value, change) {
  const list = h("select", { onchange: () => change(list.value) }, options.map((option) => {
    const [key, text] = Array.isArray(option) ? option : [option, option];
    return h("option", { value: key, selected: key === value }, text);
  }));
  return h("label.choice", h("span", label), list);
}

// A labelled checkbox; calls change(checked).
function tick(label, checked, change) {
  const box = h("input", { type: "checkbox", checked, onchange: () => change(box.checked) });
  return h("label.tick", box, h("span", label));
}

// A container that scrolls horizontally, also with the arrow keys.
function wide(label, ...children) {
  return h("div.wide", { tabindex: 0, role: "group", "aria-label": label }, children);
}

// The message of an empty view, and the command that fills it.
function empty(text, command) {
  return h("div.empty", h("p", text), command && h("code.command", command));
}
