"use strict";

// The page asks for itself every second, and takes over what has changed. The
// server keeps the time, so that a clock that stands still stands still here.
(() => {
  const main = document.querySelector("main");
  const offline = document.getElementById("offline");
  const every = 1000;

  const key = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id) || "";

  // A child with an id is found again wherever it is; others by what they are.
  const counterpart = (old, fresh, at) => {
    if (key(fresh)) {
      return [...old.children].find((child) => child.id === fresh.id);
    }
    return at && at.nodeName === fresh.nodeName && !key(at) ? at : undefined;
  };

  const takeAttributes = (old, fresh) => {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      // Whether details are open is the reader's choice.
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
  };

  const dropGone = (old, fresh) => {
    const stay = new Set([...fresh.children].map(key));
    for (const child of [...old.children]) {
      if (key(child) && !stay.has(key(child))) child.remove();
    }
  };

  // Nodes that stay the same stay: with their focus, and unannounced.
  const take = (old, fresh) => {
    if (fresh.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    takeAttributes(old, fresh);
    dropGone(old, fresh);
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const same = counterpart(old, child, at);
      // Rather lose what lies between than move what may have the focus.
      while (same && at && at !== same && !key(at)) {
        const next = at.nextSibling;
        at.remove();
        at = next;
      }
      if (!same) {
        old.insertBefore(child, at);
        continue;
      }
      take(same, child);
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const look = async () => {
    try {
      const answer = await fetch(main.dataset.poll, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      take(main, fresh.querySelector("main"));
      document.title = fresh.title;
      offline.hidden = true;
    } catch {
      offline.hidden = false;
    }
  };

  const tick = async () => {
    if (!document.hidden) await look();
    setTimeout(tick, every);
  };
  setTimeout(tick, every);
})();
