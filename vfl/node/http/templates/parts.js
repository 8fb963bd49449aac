// Elements, and how those on the page become the new ones without losing what a reader has opened or focused.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

const key = node => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

export function show(place, ...children) {
  const wanted = document.createElement(place.nodeName);
  wanted.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  replaceChildren(place, wanted);
}

function morph(from, to) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes])
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  replaceChildren(from, to);
}

function replaceChildren(from, to) {
  const known = new Map([...from.childNodes].filter(key).map(node => [key(node), node]));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const same = key(next) ? known.get(key(next)) : at && !key(at) ? at : null;
    if (!same || same.nodeName !== next.nodeName) {
      from.insertBefore(next, at);
    } else {
      if (same === at) at = at.nextSibling;
      else from.insertBefore(same, at);
      morph(same, next);
    }
  }
  while (at) {
    const rest = at.nextSibling;
    at.remove();
    at = rest;
  }
}
